# PIT whose pooled scores begin at the share of one of C equal classes.
_base_ = ['./pit_no_prior.py']
model = dict(segmentor=dict(auxiliary_head=dict(uniform_prior=True)))
