# Target pixels onto the source's images, as CAMix's paper describes iDACS.
_base_ = ['./dacs.py']
model = dict(mixer=dict(direction='target2source'))
