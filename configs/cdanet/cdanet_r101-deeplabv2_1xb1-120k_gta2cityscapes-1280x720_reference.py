# A test image attends to fixed source images, as in training, instead of to itself: nearest to the
# paper, but a result depends on their number and choice (our choice: 4, seed 0). Not trained by us.
_base_ = ['./cdanet_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py']
model = dict(segmentor=dict(decode_head=dict(test_context='reference')))
custom_hooks = [*_base_.custom_hooks, dict(type='ReferenceContextHook', num_images=4, seed=0)]
