# iDACS after the warm-up of ./camix.py, which then differs in the context alone.
_base_ = ['./dacs.py']
model = dict(mixer=dict(_delete_=True, type='ContextMix', warmup_iters=880))
