# PIT without its reconstruction loss: row `no-lr` of ../../pit/ablations.py.
_base_ = ['./pit.py']
model = dict(segmentor=dict(auxiliary_head=dict(loss_reconstruction=None)))
