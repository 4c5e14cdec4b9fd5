"""digits: teaches networks to read handwritten digits, on Ray, and serves the best one."""

__version__ = "0.1.0"
