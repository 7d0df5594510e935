default_scope = 'mmseg'
custom_imports = dict(imports=['mmseg_uda'], allow_failed_imports=False)
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
# Synchronises gradients in each step of the losses; averages batch-norm statistics over processes.
model_wrapper_cfg = dict(type='UDADistributedDataParallel')
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='SegLocalVisualizer', vis_backends=vis_backends, name='visualizer')
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2000, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'))
custom_hooks = [
    dict(type='UDAVisualizationHook', interval=1000),
    dict(type='HealthHook', interval=100)
]
tta_model = dict(type='SegTTAModel')  # test.py --tta, with tta_pipeline of the dataset
# Short lines on the terminal, everything in the log file; compact=False: everything on both.
log_processor = dict(type='TerminalLogProcessor', by_epoch=False)
log_level = 'INFO'
load_from = None
resume = False
