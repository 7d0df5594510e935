# CAMix's ablations on GTA5 (Tables 4, 5) and our own rows, with the paper's mIoU. Not trained by
# us. ../mean_teacher/ablations.py has the rows of Tables 2 and 6 without contextual mixing.
#   python tools/train.py configs/camix/ablations.py --row ce
#   python tools/run_pipeline.py configs/camix/ablations.py
seed = 0
pipeline = 'camix_pipeline.py'
cells = {
    'r101-gta': 'camix_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512.py',
    'r101-synthia': 'camix_r101-deeplabv2_1xb2-250k_synthia2cityscapes-512x512.py',
}
metrics = {'r101-synthia': 'mIoU_synthia13'}
links = {'model.mixer.prior': '{prior}'}
# Cross entropy in place of SRC, averaged over all pixels as in DACS.
no_src = {'model.significance': None, 'model.consistency.normalize': 'official'}

figures = {  # of the first validation images: the paper does not say which it shows
    'figure3': dict(rows=['source-only', 'idacs', 'camix'], kind='prediction', images=3),
}

rows = {
    'source-only': dict(
        text='source only',
        table='1, 3',
        config={cell: f'../source_only/source-only_{file[6:]}' for cell, file in cells.items()},
        paper=(32.9, 29.5),
        links={}),
    'camix': dict(text='CAMix', table='1, 2, 3', paper=(55.2, 59.7)),
    # The same as in ../mean_teacher.
    'idacs': dict(
        text='iDACS, from the target to the source after a warm-up of DACS',
        table='2, 4',
        options={
            'model.mixer.prior': None,
            'model.mixer.meta_classes': dict(_delete_=True),
            **no_src
        },
        cells=[*cells],
        paper=(51.5, ),
        links={}),
    'sp': dict(
        text='the spatial prior alone, no contextual relations, no SRC',
        table='4',
        options={'model.mixer.meta_classes': dict(_delete_=True), **no_src},
        paper=(53.1, )),
    'ce': dict(  # 54.2 in Table 5
        text='spatial prior and contextual relations, cross entropy in place of SRC',
        table='4, 5',
        options=no_src,
        paper=(54.1, )),
    # The published code: the softmax of the mixed image against the teacher's of the target image
    # before mixing, at all pixels, those of the source included, times q.
    'mse': dict(
        text='squared error in place of SRC',
        table='5',
        options={
            'model.consistency.kind': 'mse',
            'model.consistency.target': 'unmixed_probability',
            'model.label_weight': 'scalar',
            **no_src
        },
        paper=(44.5, )),
    # Our other reading: softmax against the mixed one-hot label, averaged over all pixels.
    'mse-onehot': dict(
        text='squared error from the mixed labels in place of SRC',
        options={'model.consistency.kind': 'mse', **no_src},
        cells=['r101-gta']),
    # The published code in place of eq. (9): it multiplies the mean cross entropy, a number, by the
    # significance mask and divides by the mask's sum. So the mask cancels: it is computed and
    # logged, but the gradients are those of `ce`.
    'official': dict(
        text="SRC as the published code has it",
        options={'model.consistency.normalize': 'official'},
        cells=['r101-gta']),
    'no-sp': dict(
        text='contextual relations without the spatial prior, Q = 1',
        options={'model.mixer.prior': None},
        cells=['r101-gta'],
        links={}),
    'no-warmup': dict(
        text="CAMix's mixing from the first iteration, as in the paper; its code begins with DACS's",
        options={'model.mixer.warmup_iters': 0},
        cells=['r101-gta']),
    # As in Algorithm 1; by the published code the paper's number is the student's.
    'teacher': dict(
        text='the teacher is tested',
        options={'model.eval_on': 'teacher'},
        cells=['r101-gta']),
    'teacher-eval': dict(
        text="a teacher in evaluation mode: the student's running statistics, not each batch's",
        options={'model.teacher.mode': 'eval'},
        cells=['r101-gta']),
}
