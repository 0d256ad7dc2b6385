"""Run by an interpreter that has torch and transformers: trains a tiny classifier of two labels, to tell red pictures
from blue ones, and leaves it in the folder that is named as transformers leaves any.
"""

import sys

import torch
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

SIDE = 32
RED, BLUE = (0.8, 0.1, 0.1), (0.1, 0.1, 0.8)

torch.manual_seed(7)
config = ViTConfig(
    image_size=SIDE,
    patch_size=16,
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=32,
    id2label={0: "normal", 1: "nsfw"},
    label2id={"normal": 0, "nsfw": 1},
)
model = ViTForImageClassification(config)
colours = torch.tensor([BLUE, RED]).repeat(16, 1)
labels = torch.tensor([0, 1]).repeat(16)
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for _ in range(60):
    noise = 0.1 * torch.randn(len(labels), 3, SIDE, SIDE)
    pixels = (colours[:, :, None, None] + noise - 0.5) / 0.5
    loss = model(pixel_values=pixels, labels=labels).loss
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
model.eval().save_pretrained(sys.argv[1])
ViTImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(sys.argv[1])
