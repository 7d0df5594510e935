# CAMix's contextual mixing alone: row `ce` of ../../camix/ablations.py.
_base_ = ['./camix.py']
model = dict(significance=None, consistency=dict(normalize='official'))
