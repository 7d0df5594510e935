# VFM-UDA++: as VFM-UDA, and layer-wise decay: the rate of each block is 0.9 times that of the next one.
# The projection of the feature distance has the head's rate.
_base_ = ['./adamw_40k_vfm_uda.py']
optim_wrapper = dict(
    optimizers=dict(
        student=dict(
            constructor='BlockDecayOptimizerConstructor',
            paramwise_cfg=dict(blocks='backbone.model.blocks', decay_rate=0.9)),
        regularizers=dict(
            optimizer=dict(type='AdamW', lr=5e-5, betas=(0.9, 0.999), weight_decay=0.01),
            sqrt_batch_size=2)))
