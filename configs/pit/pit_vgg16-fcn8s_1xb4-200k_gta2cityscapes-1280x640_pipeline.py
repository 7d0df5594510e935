# PIT, from raw data to the final number: 41.8 mIoU in the paper (Table 1). Not run by us.
own = 'pit_vgg16-fcn8s_1xb4-200k_gta2cityscapes-1280x640.py'
labels = {'train_dataloader.target.dataset.pipeline.1.label_file': '{image_labels}'}

seed = 0
stages = [
    # Sec. 5.2, multinomial logistic regression: rate 1e-4, times 0.99 per epoch, at least 1e-6.
    # Our choice: 30 epochs, batch 4, images at Inception-ResNet-v2's own size.
    dict(
        name='image_labels',
        type='image_labels',
        config=own,
        features='timm:inception_resnet_v2',
        lr=1e-4,
        epochs=30),
    dict(name='pit', type='train', config=own, options=labels),
    dict(name='test', type='test', config=own, checkpoint='{pit}', options=labels),
    dict(name='export', type='export', config=own, checkpoint='{pit}', options=labels),
]
