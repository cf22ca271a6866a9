"""The frame of every page of the product's admin: navigation, health, banners, preferences."""
