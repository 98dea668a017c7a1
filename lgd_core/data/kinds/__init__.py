"""The kinds of data sets: a module each, whose KIND is found by its file's name.

``source.kind: fashion-mnist`` is `fashion_mnist`. All of a kind is in its module and in what the
module imports when it is needed; nothing else names it.
"""
