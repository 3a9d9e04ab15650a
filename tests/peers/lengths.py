"""The length of each example beside its PyTorch source, in lines of code.

Blank lines, comments and docstrings do not count, on either side. Of a PyTorch source only what
building the model and its forward pass reach counts: from the named classes and functions every
class, function and method of the listed files that is named in what was reached. What only loads
published weights is left out. Run in the environment of run.sh, with a folder of clones of
pytorch/examples, facebookresearch/dlrm, milesial/Pytorch-UNet and
bentrevett/pytorch-sentiment-analysis, which are no packages.
"""
import ast
import io
import json
import sys
import tokenize
from pathlib import Path

import torchaudio
import torchvision
import transformers

CLONES = Path(sys.argv[1])
VISION, AUDIO, HUGGING_FACE = (Path(package.__path__[0]) / "models" for package in (torchvision, torchaudio, transformers))
OPS = VISION.parent / "ops"
SENTIMENT = CLONES / "pytorch-sentiment-analysis" / "2 - Recurrent Neural Networks.ipynb"


def hugging_face(name, root, *more):
    return [HUGGING_FACE / name / f"modeling_{name}.py"], [root, *more]


def torchvision_model(name, root, *others):
    return [VISION / f"{name}.py", *others], [root]


MISC = OPS / "misc.py"
BACKBONES = [VISION / "resnet.py", VISION / "_utils.py"]
DETECTION = [VISION / "detection" / name for name in ("retinanet.py", "_utils.py", "backbone_utils.py")]
SOURCES = {
    "alexnet": torchvision_model("alexnet", "AlexNet"),
    "bert_base": hugging_face("bert", "BertForMaskedLM"),
    "clip_vit_b_32": hugging_face("clip", "CLIPModel"),
    "convnext_tiny": torchvision_model("convnext", "convnext_tiny", MISC),
    "dcgan": ([CLONES / "examples" / "dcgan" / "main.py"], ["Generator", "Discriminator"]),
    "deeplabv3_resnet50": (
        [VISION / "segmentation" / name for name in ("deeplabv3.py", "_utils.py")] + BACKBONES,
        ["deeplabv3_resnet50"],
    ),
    "deepseek_v3": hugging_face("deepseek_v3", "DeepseekV3ForCausalLM"),
    "densenet121": torchvision_model("densenet", "densenet121"),
    "dlrm": ([CLONES / "dlrm" / "dlrm_s_pytorch.py"], ["DLRM_Net"]),
    "efficientnet_b0": torchvision_model("efficientnet", "efficientnet_b0", MISC),
    "gemma2_2b": hugging_face("gemma2", "Gemma2ForCausalLM"),
    "googlenet": torchvision_model("googlenet", "GoogLeNet"),
    "gpt2": (
        [HUGGING_FACE / "gpt2" / "modeling_gpt2.py", HUGGING_FACE.parent / "pytorch_utils.py"],
        ["GPT2LMHeadModel"],
    ),
    "inception_v3": torchvision_model("inception", "Inception3"),
    "llama2_7b": hugging_face("llama", "LlamaForCausalLM"),
    "mamba_130m": hugging_face("mamba", "MambaForCausalLM"),
    "mixtral_8x7b": hugging_face("mixtral", "MixtralForCausalLM"),
    "mobilenet_v2": torchvision_model("mobilenetv2", "MobileNetV2", MISC),
    "mobilenet_v3_large": torchvision_model("mobilenetv3", "mobilenet_v3_large", MISC),
    "resnet18": torchvision_model("resnet", "resnet18"),
    "resnet50": torchvision_model("resnet", "resnet50"),
    "retinanet_resnet50_fpn": (
        [*DETECTION, *BACKBONES, OPS / "feature_pyramid_network.py"],
        ["retinanet_resnet50_fpn"],
    ),
    "squeezenet1_1": torchvision_model("squeezenet", "SqueezeNet"),
    "swin_t": torchvision_model("swin_transformer", "swin_t", MISC),
    "t5_small": hugging_face("t5", "T5ForConditionalGeneration"),
    "text_classifier": ([SENTIMENT], ["LSTM"]),
    "unet": ([CLONES / "Pytorch-UNet" / "unet" / name for name in ("unet_model.py", "unet_parts.py")], ["UNet"]),
    "vgg16": torchvision_model("vgg", "vgg16"),
    "vit_b_16": torchvision_model("vision_transformer", "vit_b_16", MISC),
    "wavernn": ([AUDIO / "wavernn.py"], ["WaveRNN"]),
    "whisper_base": hugging_face("whisper", "WhisperForConditionalGeneration"),
}
# Loading weights, saving memory while training, and spreading a model over devices.
SKIPPED = {"_init_weights", "init_weights", "reset_parameters", "parallel_forward", "distributed_forward", "post_init"}


def read(path):
    if path.suffix != ".ipynb":
        return path.read_text()
    cells = json.loads(path.read_text())["cells"]
    code = ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    return "\n".join(cell for cell in code if not any(line.startswith(("%", "!")) for line in cell.splitlines()))


def code_lines(text):
    """Numbers of the lines that hold code."""
    lines = set()
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skipped:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            if isinstance(body[0].value, ast.Constant) and isinstance(body[0].value.value, str):
                lines -= set(range(body[0].lineno, body[0].end_lineno + 1))
    return lines


class Unit:
    """A function, a method, or the head of a class, and the names that must be reached for it."""

    def __init__(self, lines, node, owner=None):
        self.needs = {owner, None if node.name in ("__init__", "forward") and owner else node.name} - {None}
        if isinstance(node, ast.ClassDef):
            self.length, self.names = 1, names_in(node.bases)
        else:
            self.length = len(lines & set(range(node.lineno, node.end_lineno + 1)))
            self.names = names_in([node])


def units(path):
    text = read(path)
    lines = code_lines(text)
    for node in ast.parse(text).body:
        if not isinstance(node, (ast.ClassDef, ast.FunctionDef)) or node.name.endswith("_Weights"):
            continue
        yield Unit(lines, node)
        if isinstance(node, ast.ClassDef):
            for method in node.body:
                # An overload has no body.
                if isinstance(method, ast.FunctionDef) and not isinstance(method.body[0], ast.Pass):
                    yield Unit(lines, method, node.name)


def names_in(nodes):
    """Every name and attribute that is read, annotations left out."""
    found, stack = set(), list(nodes)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        for field, value in ast.iter_fields(node):
            if field not in ("annotation", "returns", "decorator_list"):
                children = value if isinstance(value, list) else [value]
                stack += [child for child in children if isinstance(child, ast.AST)]
    return found


def pytorch_length(paths, roots):
    left = [unit for path in paths for unit in units(path)]
    names, total = set(roots), 0
    while reached := [unit for unit in left if unit.needs <= names]:
        left = [unit for unit in left if unit not in reached]
        total += sum(unit.length for unit in reached)
        names.update(*(unit.names - SKIPPED for unit in reached))
    assert total > 1, (paths, roots)
    return total


def taper_length(path):
    lines = (line.strip() for line in path.read_text().splitlines())
    return sum(1 for line in lines if line and not line.startswith("#"))


def main():
    rows = []
    for name, (paths, roots) in SOURCES.items():
        ours, theirs = taper_length(Path(f"examples/{name}.taper")), pytorch_length(paths, roots)
        rows.append((name, ours, theirs, ", ".join(f"`{root}`" for root in roots)))
    ours, theirs = (sum(row[column] for row in rows) for column in (1, 2))
    print("| example | lines | PyTorch's | share | PyTorch's source |\n| --- | ---: | ---: | ---: | --- |")
    for name, mine, other, roots in rows:
        print(f"| {name} | {mine} | {other} | {100 * mine / other:.0f} % | {roots} |")
    print(f"| together | {ours} | {theirs} | {100 * ours / theirs:.0f} % | |")


main()
