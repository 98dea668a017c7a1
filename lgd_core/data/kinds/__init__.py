"""The kinds of data sets, one module each; ``source.kind`` is the module's name.

``source.kind: fashion-mnist`` is the KIND of the module `fashion_mnist`. The code of a kind is in
its module, and in modules that it imports when needed. No other code mentions the kind.
"""
