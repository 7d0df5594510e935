# CDANet from raw data to the final number. In the paper VGG-16 and ResNet-101 have 44.9 and 49.2 mIoU
# on GTA5 (Table 1), 40.8 over 16 and 52.4 over 13 classes on SYNTHIA (Table 2). The source is
# translated by CycleGAN first (Sec. 3.1); --cfg-options translated=False or =DIRECTORY changes that.
# Not run by us; the small cells without translation.
#   python tools/run_pipeline.py configs/cdanet/cdanet_pipeline.py --cell r101-gta
seed = 0
translation = '../cyclegan/cyclegan_pipeline.py'
translated = ['vgg16-gta', 'r101-gta', 'vgg16-synthia', 'r101-synthia']
labels = 'train_dataloader.target.dataset.pipeline.1.pseudo_dir'


def stages_of(name, first, more={}):
    own, adversarial = f'cdanet_{name}.py', f'../adversarial/adversarial_{name}.py'
    return [
        dict(name='adversarial', type='train', config=adversarial, options=first),
        dict(
            name='labels',
            type='pseudo_label',
            config=adversarial,
            checkpoint='{adversarial}',
            rule='bdl'),  # Sec. 3.1
        dict(name='cdanet', type='train', config=own, options={labels: '{labels}', **more}),
        dict(name='test', type='test', config=own, checkpoint='{cdanet}'),
        dict(name='export', type='export', config=own, checkpoint='{cdanet}'),
    ]


bdl = {'train_cfg.max_iters': 80000}  # BDL's model, of which the paper takes the labels
last = {'train_cfg.val_interval': 1500}  # the last checkpoint only
small = 'mobilenetv2-035-deeplabv2_1xb2-1500'
cells = {
    'vgg16-gta': stages_of('vgg16-deeplabv2_1xb1-120k_gta2cityscapes-1280x720', bdl),
    'r101-gta': stages_of('r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720', bdl),
    'vgg16-synthia': stages_of('vgg16-deeplabv2_1xb1-120k_synthia2cityscapes-1280x760', bdl),
    'r101-synthia': stages_of('r101-deeplabv2_1xb1-120k_synthia2cityscapes-1280x760', bdl),
    'small-day': stages_of(f'{small}_synth_street2camvid_day-240x180', last, last),
    'small-dusk': stages_of(f'{small}_camvid_day2camvid_dusk-240x180', last, last),
}
