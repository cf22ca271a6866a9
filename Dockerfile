# The web by default; `python manage.py runscheduler` in its place is a scheduler, and `celery -A cronzimus_site worker` a
# worker. docs/deployment.md says how to run them.
FROM python:3.13-slim AS build
WORKDIR /srv/cronzimus
RUN python -m venv .venv
COPY requirements.txt requirements-celery.txt ./
RUN .venv/bin/pip install --disable-pip-version-check --no-cache-dir -r requirements.txt -r requirements-celery.txt
COPY manage.py gunicorn.conf.py ./
COPY jobs jobs
COPY cronzimus_site cronzimus_site
COPY templates templates
RUN SECRET_KEY=of-the-build-alone .venv/bin/python manage.py collectstatic --noinput
RUN .venv/bin/python -m compileall -q jobs cronzimus_site

FROM python:3.13-slim
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin cronzimus
WORKDIR /srv/cronzimus
# It belongs to root, and nothing in it is written to: the root file system may be read-only.
COPY --from=build /srv/cronzimus /srv/cronzimus
ENV PATH=/srv/cronzimus/.venv/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 5000
# http.client, and not urllib: that would ask the proxy which http_proxy names.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-c", "from http.client import HTTPConnection as C; c = C('127.0.0.1', 5000, timeout=4); c.request('GET', '/api/health/live'); raise SystemExit(c.getresponse().status != 200)"]
# gunicorn, runscheduler and the worker reap what ends and pass signals on, as process 1 has to.
CMD ["gunicorn", "--bind", "0.0.0.0:5000", "--workers", "2", "--threads", "4", "cronzimus_site.wsgi"]
