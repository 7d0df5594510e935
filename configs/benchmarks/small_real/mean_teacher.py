# Consistency on the target's images themselves.
_base_ = ['./dacs.py']
model = dict(mixer=None)
