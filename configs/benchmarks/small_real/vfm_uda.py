# VFM-UDA++ on mic.py, as in ../../vfm_uda, with this benchmark's network in place of DINOv2: a weak
# jitter of both domains, a mirrored teacher, and the distance to the same network with its ImageNet
# weights at all positions of both domains. Pixels are masked; this network has no tokens.
_base_ = ['./mic.py']
model = dict(
    teacher=dict(mirrored=True),
    weak_augment=dict(
        type='StrongAugment',
        brightness=32 / 255,
        contrast=0.5,
        saturation=0.5,
        hue=18 / 360,
        jitter_prob=0.9,
        blur_prob=0.),
    mask_augment=None,
    regularizers=dict(
        feature_distance=dict(
            classes=None,
            distance='cosine_smooth_l1',
            domain_weights=dict(_delete_=True, source=0.1, target=0.1))))
