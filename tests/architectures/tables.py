#!/usr/bin/env python3
"""Makes tables for architectures at their published sizes from transformers on the meta device, in
the form that extract.py reads.

usage: pip install torch==2.9.1 transformers==4.57.3; tables.py FOLDER; extract.py FOLDER
"""
import contextlib
import json
import pathlib
import re
import sys

import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

# Autocasting knows no meta device, where nothing is computed.
autocast = torch.autocast
torch.autocast = lambda device_type, **rest: (
    contextlib.nullcontext() if device_type == "meta" else autocast(device_type, **rest)
)

# Whether as many features come as tokens stand for them is data, which the meta device lacks too.
transformers.LlavaModel.get_placeholder_mask = lambda self, ids, inputs_embeds, image_features: (
    (ids == self.config.image_token_id).unsqueeze(-1).expand_as(inputs_embeds)
)

TARGET = pathlib.Path(sys.argv[1]) / "hf"
TEXT = {"input_ids": [1, 128]}
IMAGE = {"pixel_values": [1, 3, 224, 224]}
DTYPES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16", torch.int64: "I64", torch.bool: "BOOL"}

# What differs from the defaults of the configuration class, as the published config has it.
CONFIGS = {
    "mistral-7b-v0.1": ("MistralForCausalLM", TEXT, dict(
        max_position_embeddings=32768, sliding_window=4096, torch_dtype="bfloat16")),
    "gemma-2-2b": ("Gemma2ForCausalLM", TEXT, dict(torch_dtype="float32")),
    "phi-3-mini-4k": ("Phi3ForCausalLM", TEXT, dict(sliding_window=2047, torch_dtype="bfloat16")),
    "deepseek-v3": ("DeepseekV3ForCausalLM", TEXT, dict(
        max_position_embeddings=163840, torch_dtype="bfloat16", rope_scaling=dict(
            beta_fast=32, beta_slow=1, factor=40, mscale=1.0, mscale_all_dim=1.0,
            original_max_position_embeddings=4096, rope_type="yarn"))),
    "roberta-base": ("RobertaForMaskedLM", TEXT | {"attention_mask": [1, 128]}, dict(
        max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5)),
    "xlm-roberta-base": ("XLMRobertaForMaskedLM", TEXT | {"attention_mask": [1, 128]}, dict(
        vocab_size=250002, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5)),
    "electra-base-discriminator": ("ElectraForPreTraining", TEXT | {"attention_mask": [1, 128]}, dict(
        embedding_size=768, hidden_size=768, intermediate_size=3072, num_attention_heads=12)),
    "electra-small-generator": ("ElectraForMaskedLM", TEXT | {"attention_mask": [1, 128]}, dict()),
    "vit-base-patch16-224": ("ViTForImageClassification", IMAGE, dict(num_labels=1000)),
    "deit-base-distilled": ("DeiTForImageClassificationWithTeacher", IMAGE, dict(num_labels=1000)),
    "resnet-50": ("ResNetForImageClassification", IMAGE, dict(num_labels=1000)),
    "resnet-18": ("ResNetForImageClassification", IMAGE, dict(
        num_labels=1000, layer_type="basic", hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2])),
    "siglip-base-patch16-224": ("SiglipModel", IMAGE | {"input_ids": [1, 64]}, dict()),
    "flan-t5-base": ("T5ForConditionalGeneration", TEXT | {"decoder_input_ids": [1, 128]}, dict(
        d_ff=2048, d_model=768, num_heads=12, num_layers=12, num_decoder_layers=12, feed_forward_proj="gated-gelu",
        tie_word_embeddings=False)),
    "falcon-40b": ("FalconForCausalLM", TEXT, dict(
        hidden_size=8192, num_attention_heads=128, num_hidden_layers=60, num_kv_heads=8,
        new_decoder_architecture=True, torch_dtype="bfloat16")),
    "opt-125m": ("OPTForCausalLM", TEXT, dict(torch_dtype="float16")),
    "wav2vec2-large-lv60": ("Wav2Vec2Model", {"input_values": [1, 16000]}, dict(
        conv_bias=True, do_stable_layer_norm=True, feat_extract_norm="layer", hidden_size=1024,
        intermediate_size=4096, num_attention_heads=16, num_hidden_layers=24)),
    "deberta-v2-xlarge": ("DebertaV2Model", TEXT | {"attention_mask": [1, 128]}, dict(
        relative_attention=True, position_buckets=256, norm_rel_ebd="layer_norm", share_att_key=True,
        pos_att_type="p2c|c2p", position_biased_input=False, conv_kernel_size=3, conv_act="gelu")),
    "pythia-160m": ("GPTNeoXForCausalLM", TEXT, dict(
        hidden_size=768, intermediate_size=3072, num_attention_heads=12, num_hidden_layers=12, vocab_size=50304,
        torch_dtype="float16")),
    "all-minilm-l6-v2": ("BertModel", TEXT | {"attention_mask": [1, 128]}, dict(
        hidden_size=384, intermediate_size=1536, num_hidden_layers=6, torch_dtype="float32")),
    "distilbert-base": ("DistilBertModel", TEXT | {"attention_mask": [1, 128]}, dict()),
    "electra-small": ("ElectraModel", TEXT | {"attention_mask": [1, 128]}, dict()),
    "llava-1.5-7b": ("LlavaForConditionalGeneration", {"input_ids": [1, 640], "pixel_values": [1, 3, 336, 336]}, dict(
        image_token_index=32000, torch_dtype="float16",
        text_config=dict(model_type="llama", max_position_embeddings=4096, rms_norm_eps=1e-5, vocab_size=32064),
        vision_config=dict(
            model_type="clip_vision_model", hidden_size=1024, image_size=336, intermediate_size=4096,
            num_attention_heads=16, num_hidden_layers=24, patch_size=14, projection_dim=768))),
    "dinov2-giant": ("Dinov2Model", IMAGE, dict(
        hidden_size=1536, num_attention_heads=24, num_hidden_layers=40, use_swiglu_ffn=True, image_size=518)),
}


def saved(model, name):
    """The name that a module or tensor has in a checkpoint, as `save_pretrained` changes it."""
    for replacement, pattern in getattr(model, "_checkpoint_conversion_mapping", {}).items():
        name, found = re.subn(rf"^{pattern}\b", replacement.lstrip("^"), name)
        if found:
            return name
    # What is left of a model whose parts are saved elsewhere is no module of the checkpoint.
    return None if name == "model" and model._checkpoint_conversion_mapping else name


def make(name, architecture, inputs, values):
    cls = getattr(transformers, architecture)
    config = cls.config_class(**values)
    config._attn_implementation = "eager"
    with torch.device("meta"):
        model = cls(config).eval()
    if dtype := values.get("torch_dtype"):
        model = model.to(getattr(torch, dtype))
    tied = {}
    for parameter, tensor in model.named_parameters(remove_duplicate=False):
        tied.setdefault(id(tensor), []).append(parameter)
    dropped = {later for names in tied.values() for later in names[1:]}
    state = {saved(model, key): tensor for key, tensor in model.state_dict().items() if key not in dropped}
    counted = FlopCounterMode(display=False)
    width = next(model.parameters()).dtype
    tensors = {
        key: torch.ones(shape, dtype=torch.long if key.endswith(("ids", "mask")) else width, device="meta")
        for key, shape in inputs.items()
    }
    if hasattr(config, "use_cache"):
        config.use_cache = False
    try:
        with counted, torch.no_grad():
            model(**tensors)
        total = counted.get_total_flops()
    except (RuntimeError, NotImplementedError) as error:
        # Which experts a token passes is data, which the meta device lacks.
        print(f"{name}: no FLOPs: {str(error).splitlines()[0]}", file=sys.stderr)
        total = None
    modules = {}
    for module, operators in counted.get_flop_counts().items():
        path = "" if module == "Global" else module.split(".", 1)[1] if "." in module else None
        if total is not None and path is not None and sum(operators.values()):
            modules[saved(model, path)] = sum(operators.values())
    modules.pop(None, None)
    folder = TARGET / name
    folder.mkdir(parents=True, exist_ok=True)
    write = lambda file, value: (folder / file).write_text(json.dumps(value))
    write("config.json", {"architectures": [architecture], "model_type": config.model_type} | values)
    write("tensors.json", {key: [DTYPES[tensor.dtype], list(tensor.shape)] for key, tensor in state.items()})
    unique = sum(tensor.numel() for tensor in model.parameters())
    write("info.json", {
        "transformers": transformers.__version__, "torch": torch.__version__,
        "total_params_unique": unique,
        "flops": {"seq128": {"inputs": inputs, "flops": total}},
    })
    write("flops_by_module_seq128.json", modules)
    print(name, unique, total, flush=True)


for name, (architecture, inputs, values) in CONFIGS.items():
    if len(sys.argv) < 3 or name in sys.argv[2:]:
        make(name, architecture, inputs, values)
