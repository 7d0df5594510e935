# CAMix: from the two domains to the tested and exported segmentor; the teacher is tested beside it.
own = 'camix_mobilenetv2-035-deeplabv2_1xb2-1500_synth_street2camvid_day-240x180.py'
prior = {'model.mixer.prior': '{prior}'}

seed = 0
stages = [
    dict(name='prior', type='spatial_prior', config=own),
    dict(
        name='camix',
        type='train',
        config=own,
        options={'train_cfg.val_interval': 1500, **prior}),  # the last checkpoint counts
    dict(name='test', type='test', config=own, checkpoint='{camix}', options=prior),
    dict(name='export', type='export', config=own, checkpoint='{camix}', options=prior),
    dict(
        name='test_teacher',
        type='test',
        config=own,
        checkpoint='{camix}',
        options={'model.eval_on': 'teacher', **prior}),
]
