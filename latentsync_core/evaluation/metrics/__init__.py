"""One file a metric: its definition, protocol and source are in its docstring.

All look at 25 fps and, where pictures are compared, at faces aligned to 256 px by the source's own alignment.
"""
