"""The JSON of the shop's own API: camel case."""

import json

from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer


def camel(value):
    """Return `value` with the names of its objects in camel case."""
    if isinstance(value, dict):
        return {_camel_name(name): camel(item) for name, item in value.items()}
    return [camel(item) for item in value] if isinstance(value, list) else value


def _camel_name(name):
    first, *others = name.split("_")
    return "".join([first, *map(str.title, others)])


class CamelCaseRenderer(JSONRenderer):
    """Renders names in camel case."""

    def render(self, data, *args, **kwargs):
        return super().render(camel(data), *args, **kwargs)


class ShopParser(JSONParser):
    """Takes nothing but an object with the name `shopData`."""

    def parse(self, stream, *args, **kwargs):
        return json.loads(stream.read())["shopData"]
