# PIT without its image-level loss: row `no-lc` of ../../pit/ablations.py.
_base_ = ['./pit.py']
model = dict(segmentor=dict(auxiliary_head=dict(loss_decode=dict(loss_weight=0.))))
