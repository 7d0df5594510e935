# A small CycleGAN for a CPU: 16 instead of 64 channels, 6 instead of 9 blocks; half as many channels
# in the discriminators. 15k iterations are 37 passes over the source.
_base_ = [
    '../_base_/models/cyclegan_resnet9.py',
    '../_base_/datasets/synth_street2camvid_day_unlabelled.py',
    '../_base_/schedules/adam_cyclegan.py', '../_base_/default_runtime.py'
]
model = dict(
    generator=dict(channels=16, num_blocks=6), discriminator=dict(channels=(32, 64, 128, 256)))
train_cfg = dict(max_iters=15000)
param_scheduler = [
    dict(type='LinearLR', start_factor=1., end_factor=1 / 11, begin=7500, end=15000, by_epoch=False)
]
default_hooks = dict(checkpoint=dict(interval=500))
