"""Commissioning: what a clinic runs before use and after every update, and the public landmarks that registration is compared on."""
