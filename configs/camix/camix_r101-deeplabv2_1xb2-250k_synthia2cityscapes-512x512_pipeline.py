# CAMix, from raw data to the final number: 59.7 mIoU over 13 classes in the paper (Table 3), that
# of the student by the published code. The teacher, which Algorithm 1 gives, is tested and exported
# beside it. Not run by us.
own = 'camix_r101-deeplabv2_1xb2-250k_synthia2cityscapes-512x512.py'
prior = {'model.mixer.prior': '{prior}'}

seed = 0
stages = [
    dict(name='prior', type='spatial_prior', config=own),  # Sec. 3.1
    dict(name='camix', type='train', config=own, options=prior),
    dict(name='test', type='test', config=own, checkpoint='{camix}', options=prior),
    dict(name='export', type='export', config=own, checkpoint='{camix}', options=prior),
    dict(
        name='test_teacher',
        type='test',
        config=own,
        checkpoint='{camix}',
        options={'model.eval_on': 'teacher', **prior}),
    dict(
        name='export_teacher',
        type='export',
        config=own,
        checkpoint='{camix}',
        module='teacher.module',
        options=prior),
]
