# PIT on crops without its reconstruction loss.
_base_ = ['./pit_crops.py']
model = dict(segmentor=dict(auxiliary_head=dict(loss_reconstruction=None)))
