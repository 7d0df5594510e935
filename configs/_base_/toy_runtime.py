_base_ = ['./default_runtime.py']
default_hooks = dict(checkpoint=dict(interval=100))  # a stopped training loses a minute at most
