# What an iteration of every method costs on a GPU: time beside the bare passes, and memory, at the
# papers' crops, in full precision, with AMP, channels-last and compiled. Images are noise and weights
# random: neither data nor weights are needed.
#   python tools/benchmark.py configs/benchmarks/gpu.py
#   python tools/run_pipeline.py configs/benchmarks/gpu.py --cell gta-mic_amp
# On a CPU, one cell in small, to try it:
#   python tools/run_pipeline.py configs/benchmarks/gpu.py --cell gta-mic_fp32 \
#       --cfg-options stages.mic_fp32.device=cpu stages.mic_fp32.crop="(64,64)"
title = 'Cost on a GPU'
description = '''
The cell of each paper on GTA5 → Cityscapes, with its network, batch and crop, on noise. A bare pass is
backbone and head with the cross entropy and backward, or without gradients. fp32 is torch's default:
convolutions in TF32, matrix products in full precision.

**Time.** A run is measured while no other uses the GPU. Most were measured on one machine (commit
c4116e3); fp32 of self_training, camix, mic, hrda, mic_hrda and vfm_uda (e9da171) and channels last of
vfm_uda (1044c57) on others. Where kernels are short, the speed of a machine's processor counts: compare
the memory of those runs with that of their variants, and the time of vfm_uda's alone.
'''
device = 'cuda'
pairs = dict(gta='GTA5 → Cityscapes')
configs = dict(
    source_only='source_only/source-only_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512.py',
    adversarial='adversarial/adversarial_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py',
    advent='advent/advent_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py',
    self_training='self_training/self-training_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py',
    cdanet='cdanet/cdanet_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py',
    sam='sam/sam_r101-deeplabv2_1xb1-120k_gta2cityscapes-1280x720.py',
    pit='pit/pit_r101-deeplabv2_1xb4-200k_gta2cityscapes-1280x640.py',
    dast='dast/dast_r101-deeplabv2_1xb1-150k_gta2cityscapes-1280x720.py',
    mean_teacher='mean_teacher/mean-teacher_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512.py',
    camix='camix/camix_r101-deeplabv2_1xb2-250k_gta2cityscapes-512x512.py',
    proda='proda/proda_r101-deeplabv2gn_1xb4-62k_gta2cityscapes-896x512_stage1.py',
    daformer='daformer/daformer_mit-b5-daformer_1xb2-40k_gta2cityscapes-512x512.py',
    mic='mic/mic_mit-b5-daformer_1xb2-40k_gta2cityscapes-512x512.py',
    hrda='hrda/hrda_mit-b5-daformer_1xb2-40k_gta2cityscapes-1024x1024.py',
    mic_hrda='mic/mic_mit-b5-hrda_1xb2-40k_gta2cityscapes-1024x1024.py',
    vfm_uda='vfm_uda/vfm-uda_dinov2-b-vfm_4xb2-40k_gta2cityscapes-1024x1024.py')
variants = dict(
    fp32=dict(text='fp32'),
    amp=dict(text='bfloat16', options={'optim_wrapper.dtype': 'bfloat16'}),
    channels_last=dict(
        text='bfloat16, channels last',
        options={
            'optim_wrapper.dtype': 'bfloat16',
            'model.channels_last': True
        }),
    compiled=dict(
        text='bfloat16, compiled', options={'optim_wrapper.dtype': 'bfloat16'}, compile=True))


def cost(method, variant):
    each = variants[variant]
    return [
        dict(
            name=f'{method}_{variant}',
            type='cost',
            config=f'../{configs[method]}',
            options=each.get('options', {}),
            compile=each.get('compile', False),
            noise=True,
            device=device,
            repeat=10)
    ]


cells = {
    f'{pair}-{method}_{variant}': cost(method, variant)
    for pair in pairs for method in configs for variant in variants
}
texts = {
    f'{method}_{variant}': f'{method}, {variants[variant]["text"]}'
    for method in configs for variant in variants
}
pair_texts = dict(pairs)
baseline = bar = 'source_only_fp32'
levels = {
    variant: dict(methods=[f'{method}_{variant}' for method in configs], pairs=['gta'], seeds=[0])
    for variant in variants
}
