"""The Engine API: routes, streams and problems. It parses with ``wire``, asks ``engine``, renders with ``wire``."""
