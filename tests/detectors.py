"""A small object detector with seeded random weights, in a folder with the layout of hubs."""


def write_detector(folder, *, seed=3):
    """Write a YOLOS of two layers that finds eight boxes, which depend on the seed."""
    from imgsearch.encoders.torch.imports import frameworks

    torch = frameworks()[0]
    import transformers

    torch.manual_seed(seed)
    config = transformers.YolosConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        image_size=[64, 96], patch_size=16, num_detection_tokens=8, num_labels=3,
        id2label={0: "Käfer", 1: "dog", 2: "cat"},
    )  # fmt: skip
    model = transformers.YolosForObjectDetection(config)
    with torch.no_grad():  # otherwise all boxes of random weights are in the middle
        for parameter in model.bbox_predictor.parameters():
            parameter.normal_(0, 0.8)
        model.vit.embeddings.detection_tokens.normal_(0, 3)
    model.save_pretrained(folder)
    processor = transformers.YolosImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 96})
    processor.save_pretrained(folder)
    return model
