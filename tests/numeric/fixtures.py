#!/usr/bin/env python3
"""Makes fixtures of tiny models of transformers and torchvision: seeded random weights, an input and the output.

usage: fixtures.py [NAME…]     (needs torch, torchvision and transformers: tests/peers/requirements.txt)
"""
import pathlib
import sys

import torch
import torchvision
import transformers
from safetensors.torch import save_file

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
YARN = {"rope_type": "yarn", "factor": 4.0, "beta_fast": 32.0, "beta_slow": 1.0,
        "original_max_position_embeddings": 16}


def gpt_oss():
    config = transformers.GptOssConfig(
        vocab_size=256, hidden_size=64, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, num_local_experts=4, num_experts_per_tok=2, sliding_window=4,
        layer_types=["sliding_attention", "full_attention"], max_position_embeddings=64,
        rope_scaling={**YARN, "truncate": False}, pad_token_id=0)
    return transformers.GptOssForCausalLM(config)


def deepseek_v3_yarn():
    config = transformers.DeepseekV3Config(
        vocab_size=256, hidden_size=64, intermediate_size=128, moe_intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=4, n_routed_experts=4, n_shared_experts=1, num_experts_per_tok=2,
        n_group=2, topk_group=1, first_k_dense_replace=1, kv_lora_rank=32, q_lora_rank=32, qk_rope_head_dim=16,
        qk_nope_head_dim=16, v_head_dim=16, max_position_embeddings=64,
        rope_scaling={**YARN, "mscale": 1.0, "mscale_all_dim": 0.7})
    return transformers.DeepseekV3ForCausalLM(config)


def llava():
    config = transformers.LlavaConfig(
        text_config=dict(
            model_type="llama", vocab_size=256, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64),
        vision_config=dict(
            model_type="clip_vision_model", hidden_size=32, intermediate_size=64, num_hidden_layers=3,
            num_attention_heads=4, image_size=16, patch_size=8),
        image_token_index=255)
    return transformers.LlavaForConditionalGeneration(config)


def swin():
    """Its first stage has shifted windows, its second one is as large as a window."""
    return torchvision.models.SwinTransformer(
        patch_size=[4, 4], embed_dim=24, depths=[2, 2], num_heads=[2, 4], window_size=[4, 4], num_classes=10,
        stochastic_depth_prob=0.0)


def image(model):
    return {"input0": torch.randn(2, 3, 32, 32)}


def tokens(model):
    return {"input_ids": torch.randint(0, 255, (2, 12))}


def images_among_tokens(model):
    """Each row has the four tokens of an image, each at another place."""
    inputs = tokens(model)
    inputs["input_ids"][0, 2:6] = inputs["input_ids"][1, 7:11] = 255
    return inputs | {"pixel_values": torch.randn(2, 3, 16, 16)}


MODELS = {
    "tiny_gpt_oss": (gpt_oss, tokens),
    "tiny_deepseek_v3_yarn": (deepseek_v3_yarn, tokens),
    "tiny_llava": (llava, images_among_tokens),
    "small_swin": (swin, image),
}


def main():
    for name in sys.argv[1:] or MODELS:
        torch.manual_seed(0)
        make, inputs = MODELS[name]
        model = make()
        # As they are made biases, sinks and norms are all alike, and would hide a mistake.
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        model.eval()
        folder = FIXTURES / name
        folder.mkdir(exist_ok=True)
        inputs = inputs(model)
        with torch.no_grad():
            if isinstance(model, transformers.PreTrainedModel):
                model.set_attn_implementation("eager")
                # With the names that checkpoints have, which are not always those of the modules.
                model.save_pretrained(folder)
                (folder / "generation_config.json").unlink()
                output = model(**inputs, use_cache=False).logits
            else:
                save_file(model.state_dict(), folder / "model.safetensors")
                output = model(*inputs.values())
        io = {f"case0.{name}": tensor for name, tensor in inputs.items()}
        save_file(io | {"case0.output": output.contiguous()}, folder / "io.safetensors")
        print(name, sum(value.numel() for value in model.parameters()), "elements")


main()
