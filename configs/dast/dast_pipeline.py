# DAST, Algorithm 1, from raw data to the end of round 3. In the paper VGG-16 and ResNet-101 have
# 44.3 and 49.6 mIoU on GTA5 (Table 1), 39.6 and 45.2 over 16 classes on SYNTHIA (Table 2). The
# report has each stage's mIoU and each round's pseudo labels. We ran two rounds on small pairs only.
#   python tools/run_pipeline.py configs/dast/dast_pipeline.py --cell r101-gta
# r101-gta-q runs three shares q of pseudo labels after one stage 1: 40, 50 and 60 %. The paper has
# 49.0, 49.6 and 48.7 mIoU (Table 4); ours are in the report, stages round40-3, round50-3 and
# round60-3.
seed = 0
translation = '../cyclegan/cyclegan_pipeline.py'
data = '{{$MMSEG_UDA_DATA:data}}/'
gta, synthia = ('gta/images', 'gta/labels'), ('synthia/RGB', 'synthia/GT/LABELS')
labels = 'train_dataloader.target.dataset.pipeline.1.pseudo_dir'
published = {
    'model.segmentor.decode_head.aspp_branches': 2,
    'model.segmentor.backbone.projection_shortcut': True,
}
strengths = {'beta05': 0.5, 'beta09': 0.9}


def first_stage(source, config):
    """Train stage 1; translated source images choose its checkpoint."""
    return [
        *[
            dict(
                name=name,
                type='translate',
                source=data + source[0],
                labels=data + source[1],
                target=data + 'cityscapes/leftImg8bit/train',
                beta=beta,
                max_images=500,
                seed=0) for name, beta in strengths.items()
        ],
        dict(
            name='stage1',
            type='train',
            config=config,
            options={
                f'val_cfg.selection.{name}.dataloader.dataset.data_root': f'{{{name}}}'
                for name in strengths
            }),
    ]


def one_round(k, config, again, before, rule, **more):
    """Make pseudo labels with a checkpoint, then continue training from it with them."""
    return [
        dict(
            name=f'labels{k}',
            type='pseudo_label',
            config=config,
            checkpoint=before,
            rule=rule,
            **more),
        dict(
            name=f'round{k}',
            type='train',
            config=again,
            options={'load_from': before, labels: f'{{labels{k}}}'}),
    ]


def three_rounds(config, again, share, name=''):  # K = 3, Method Overview
    rule = dict(type='cbst', share=share)
    return [
        *one_round(f'{name}1', config, again, '{stage1.best}', rule),
        *one_round(f'{name}2', config, again, f'{{round{name}1}}', rule),
        *one_round(f'{name}3', config, again, f'{{round{name}2}}', rule),
    ]


def paper(source, network, end):
    config = f'dast_{network}-deeplabv2_1xb1-150k_{end}'
    again = f'dast_{network}-deeplabv2_1xb1-20k_{end}_round.py'
    return [
        *first_stage(source, f'{config}_select.py'),
        *three_rounds(f'{config}.py', again, share=0.5),  # q, Table 4
        # "DA" of Tables 1 and 2
        dict(name='test_stage1', type='test', config=f'{config}.py', checkpoint='{stage1.best}'),
        dict(name='test', type='test', config=again, checkpoint='{round3}'),
        dict(name='export', type='export', config=again, checkpoint='{round3}'),
    ]


def code_network(stages):  # rows `aspp2` and `projection` of ablations.py
    for stage in stages:
        if 'config' in stage:
            stage['options'] = {**published, **stage.get('options', {})}
    return stages


def shares(source, network, end):
    config = f'dast_{network}-deeplabv2_1xb1-150k_{end}'
    again = f'dast_{network}-deeplabv2_1xb1-20k_{end}_round.py'
    return [
        *first_stage(source, f'{config}_select.py'),
        *three_rounds(f'{config}.py', again, share=0.4, name='40-'),
        *three_rounds(f'{config}.py', again, share=0.5, name='50-'),
        *three_rounds(f'{config}.py', again, share=0.6, name='60-'),
    ]


def small(end):
    config = f'dast_mobilenetv2-035-deeplabv2_1xb2-1500_{end}.py'
    again = f'dast_mobilenetv2-035-deeplabv2_1xb2-300_{end}_round.py'
    last = {'train_cfg.val_interval': 1500}  # the last checkpoint only
    return [
        dict(name='alignment', type='train', config=config, options=last),
        *one_round(1, config, again, '{alignment}', 'cbst'),
        *one_round(2, again, again, '{round1}', 'cbst', options={labels: '{labels1}'}),
        dict(name='export', type='export', config=again, checkpoint='{round2}'),
    ]


cells = {
    'vgg16-gta': paper(gta, 'vgg16', 'gta2cityscapes-1280x720'),
    'r101-gta': paper(gta, 'r101', 'gta2cityscapes-1280x720'),
    'r101-gta-q': shares(gta, 'r101', 'gta2cityscapes-1280x720'),
    'r101-gta-code': code_network(paper(gta, 'r101', 'gta2cityscapes-1280x720')),
    'vgg16-synthia': paper(synthia, 'vgg16', 'synthia2cityscapes-1280x760'),
    'r101-synthia': paper(synthia, 'r101', 'synthia2cityscapes-1280x760'),
    'r101-synthia-code': code_network(paper(synthia, 'r101', 'synthia2cityscapes-1280x760')),
    'small-day': small('synth_street2camvid_day-240x180'),
    'small-dusk': small('camvid_day2camvid_dusk-240x180'),
}
