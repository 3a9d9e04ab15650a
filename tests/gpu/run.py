#!/usr/bin/env python3
"""What must be tried on a machine with a GPU: it needs CUDA and Python, no Rust.

    scripts/build-cuda.sh                        # on any machine; makes target/cuda/taper.xz
    python3 tests/gpu/run.py --out report        # on the machine with the GPU

Writes report/report.md and report/report.json, anew after each thing that it has tried, so that a
lease that ends early loses nothing. With `--device cpu` everything runs on a machine without a GPU,
to see that this script works. PyTorch is compared with where it is installed; so are torchvision and
transformers.
"""

import argparse
import concurrent.futures
import json
import lzma
import os
import pathlib
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]

# A name, the model, what is set for a batch, and its dtype.
MODELS = [
    ("AlexNet", "examples/alexnet.taper", ["N={}"], "f32"),
    ("ResNet-50", "examples/resnet50.taper", ["N={}"], "f32"),
    ("MobileNetV3-L", "examples/mobilenet_v3_large.taper", ["N={}"], "f32"),
    ("ViT-B/16", "examples/vit_b_16.taper", ["N={}"], "f32"),
    ("GPT-2", "examples/gpt2.taper", ["B={}"], "f32"),
    ("Llama-2-7B", "examples/llama2_7b.taper", ["B={}"], "bf16"),
]
BATCHES = [1, 32]

# The fixtures of tests/numeric whose weights and model stand beside each other.
CONFIGS = """tiny_bert tiny_bert_mlm tiny_deepseek_v3 tiny_deepseek_v3_yarn tiny_gemma2 tiny_gpt2 tiny_gpt_oss
tiny_gptneox tiny_llama tiny_llama31_rope tiny_llava tiny_mamba tiny_mixtral tiny_phi tiny_qwen2 tiny_qwen3
tiny_qwen3_moe tiny_t5""".split()
TAPER_MODELS = "narrow_alexnet narrow_resnet18 small_unet lstm_classifier gru_tagger torch_encoder".split()

# Libraries that a toolkit or PyTorch brings, where the system's loader does not look.
LIBRARIES = ["/usr/local/cuda/lib64", "/usr/local/nvidia/lib64", "/usr/lib/x86_64-linux-gnu"]


# What is tried, in this order.
PARTS = ["benchmarks", "pytorch", "correctness", "repeated", "out_of_memory", "cancel"]

# The data sheets of `taper estimate --devices`, by a part of the names that GPUs give themselves.
SHEETS = ["h200", "h100", "a100", "l40s", "l4", "t4"]

# Seconds after which a program has hung.
PATIENCE = 180


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--taper", default=str(ROOT / "target/cuda/taper.xz"), help="the program, or it packed")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--out", default="report", type=pathlib.Path)
    parser.add_argument("--seconds", default=5.0, type=float, help="the most for each benchmark")
    parser.add_argument("--models", default=",".join(name for name, *_ in MODELS), help="which, by their names")
    parser.add_argument("--parts", default=",".join(PARTS), help="what is tried")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    chosen, parts = arguments.models.split(","), arguments.parts.split(",")
    with tempfile.TemporaryDirectory() as folder:
        taper = Taper(unpacked(arguments.taper, folder), arguments.device, arguments.seconds)
        report = {"at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), "device": arguments.device}
        report["version"] = taper.text("--version")
        report["devices"] = taper.text("bench", "--devices").splitlines()
        print("\n".join(report["devices"]), flush=True)
        if not any(line.startswith(arguments.device + ":") for line in report["devices"]):
            sys.exit(f"there is no {arguments.device} here")
        tried = {
            "benchmarks": lambda: taper.benchmarks(chosen),
            "pytorch": lambda: pytorch(chosen, arguments),
            "correctness": taper.correctness,
            "repeated": taper.repeated,
            "out_of_memory": taper.out_of_memory,
            "cancel": taper.cancel,
        }
        for part in parts:
            started = time.monotonic()
            for found in tried[part]():
                report[part] = found
                save(report, arguments.out)
            print(f"{part}: {time.monotonic() - started:.0f} s", flush=True)
    print(markdown(report))


def save(report, folder):
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    (folder / "report.md").write_text(markdown(report))


def unpacked(path, folder):
    """The program as a file that can be run, by its whole path."""
    if not path.endswith(".xz"):
        return str(pathlib.Path(path).resolve())
    program = pathlib.Path(folder) / "taper"
    program.write_bytes(lzma.decompress(pathlib.Path(path).read_bytes()))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


def environment():
    """With the libraries of a toolkit, or of PyTorch's packages."""
    folders = [folder for folder in LIBRARIES if os.path.isdir(folder)]
    for packages in sys.path:
        folders += [str(folder) for folder in pathlib.Path(packages).glob("nvidia/*/lib")]
    known = os.environ.get("LD_LIBRARY_PATH", "")
    return {**os.environ, "LD_LIBRARY_PATH": ":".join([known, *folders]).strip(":")}


class Taper:
    """The program. What is tried is given as it stands, again and again until it is complete."""

    def __init__(self, program, device, seconds):
        self.program, self.device, self.seconds = program, device, seconds
        self.environment = environment()

    def run(self, *arguments):
        command = [self.program, *map(str, arguments)]
        try:
            return subprocess.run(command, cwd=ROOT, env=self.environment, text=True, capture_output=True,
                                  timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 1, "", f"error: nothing after {PATIENCE} s")

    def text(self, *arguments):
        return self.run(*arguments).stdout.strip()

    def bench(self, *arguments):
        """The result of a benchmark, or why there is none."""
        common = ["--device", self.device, "--time", self.seconds, "--format", "json"]
        done = self.run("bench", *arguments, *common)
        if done.returncode == 0:
            return json.loads(done.stdout)
        errors = [line for line in done.stderr.splitlines() if line.startswith("error")]
        last = (done.stderr.strip().splitlines() or [""])[-1]
        return {"error": errors[0] if errors else f"exit {done.returncode}: {last}"}

    def benchmarks(self, chosen):
        found = []
        for name, path, sets, dtype in MODELS:
            for batch in BATCHES if name in chosen else []:
                found.append(self.benchmark(name, path, sets, dtype, batch))
                yield found

    def benchmark(self, name, path, sets, dtype, batch):
        chosen = [part for one in sets for part in ("--set", one.format(batch))]
        result = self.bench(path, *chosen, "--dtype", dtype)
        print(f"{name}, batch {batch}: {result.get('error') or time_of(result['whole']['median'])}", flush=True)
        estimate = self.estimate(result, path, *chosen, "--dtype", dtype)
        return {"name": name, "batch": batch, "dtype": dtype, "result": result, "estimate": estimate}

    def estimate(self, result, *arguments):
        """The least seconds by the data sheet of the device, if it is one that is known."""
        name = result.get("device", {}).get("name", "")
        known = next((sheet for sheet in SHEETS if sheet.upper() in name), None)
        done = self.run("estimate", *arguments, "--device", known, "--format", "json") if known else None
        return json.loads(done.stdout)["seconds"] if done and done.returncode == 0 else None

    def repeated(self):
        """The same benchmark five times: how much its median varies."""
        results = [self.bench("examples/resnet50.taper") for _ in range(5)]
        medians = [result["whole"]["median"] for result in results if "whole" in result]
        if len(medians) < 2:
            yield {"error": results[0].get("error")}
        else:
            yield {"medians": medians, "spread": (max(medians) - min(medians)) / sorted(medians)[len(medians) // 2]}

    def correctness(self):
        """The outputs of the fixtures on the device against those on the CPU."""
        fixtures, kernels = ROOT / "tests/numeric/fixtures", ROOT / "tests/gpu/kernels.taper"
        models = [(name, fixtures / name / "config.json") for name in CONFIGS]
        models += [(name, ROOT / f"tests/numeric/models/{name}.taper") for name in TAPER_MODELS]
        models += [(name, kernels) for name in re.findall(r"^model (\w+)", kernels.read_text(), re.M)]

        def check(model):
            name, path = model
            weights = fixtures / name / "model.safetensors"
            given = ["--model", name] if path == kernels else ["--weights", weights]
            done = self.run("bench", path, *given, "--check", "--device", self.device, "--time", 0.1,
                            "--format", "json")
            result = json.loads(done.stdout) if done.returncode == 0 else {}
            error = None if result else done.stderr.strip()
            return {"name": name, "difference": result.get("difference"), "error": error}

        # Nothing here is timed, so that several can run at once.
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            yield list(pool.map(check, models))

    def out_of_memory(self):
        """What does not fit must be said, not crash: before the run, and in the middle of it."""
        models = {"before": "Weights"}
        if self.device != "cpu":  # Whose memory is larger than it is, until the system ends something.
            models |= {"during": "Scores", "counting": "Counts"}
        found = {}
        for when, model in models.items():
            found[when] = self.bench("tests/gpu/memory.taper", "--model", model).get("error", "it fits")
            yield found

    def cancel(self):
        """A benchmark that is told to stop: how soon it and its worker have ended."""
        command = [self.program, "bench", "examples/resnet50.taper", "--device", self.device, "--time", "600"]
        process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        time.sleep(5)
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait()
        while self.workers() and time.monotonic() - started < 10:
            time.sleep(0.005)
        yield {"seconds": time.monotonic() - started, "workers_left": self.workers()}

    def workers(self):
        """How many workers of this program there are."""
        count = 0
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except OSError:
                continue
            count += words[:3] == [self.program.encode(), b"bench", b"--stdio"]
        return count


def pytorch(chosen, arguments):
    """The same models in PyTorch eager, timed by CUDA events."""
    try:
        import torch
    except ImportError:
        yield {"error": "PyTorch is not there"}
        return
    if arguments.device.startswith("cuda") and not torch.cuda.is_available():
        yield {"error": "PyTorch has no CUDA here"}
        return
    found = {"version": torch.__version__, "models": []}
    for name, make in pytorch_models(torch).items():
        for batch in BATCHES if name in chosen else []:
            try:
                with torch.inference_mode():
                    seconds = time_pytorch(torch, *make(batch, arguments.device), arguments)
                entry = {"median": seconds}
            except Exception as error:  # A missing package or memory: the column says so.
                entry = {"error": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
            found["models"].append({"name": name, "batch": batch, **entry})
            print(f"PyTorch, {name}, batch {batch}: {entry}", flush=True)
            if arguments.device.startswith("cuda"):
                torch.cuda.empty_cache()
            yield found


def pytorch_models(torch):
    def vision(name):
        def make(batch, device):
            import torchvision
            model = getattr(torchvision.models, name)().eval().to(device)
            return model, torch.rand(batch, 3, 224, 224, device=device)
        return make

    def language(kind, dtype, length):
        def make(batch, device):
            import transformers
            config = getattr(transformers, kind + "Config")()
            classes = {"GPT2": "GPT2LMHeadModel", "Llama": "LlamaForCausalLM"}
            torch.set_default_dtype(dtype)
            try:
                with torch.device(device):
                    model = getattr(transformers, classes[kind])(config).eval()
            finally:
                torch.set_default_dtype(torch.float32)
            tokens = torch.randint(0, config.vocab_size, (batch, length), device=device)
            return (lambda tokens: model(tokens, use_cache=False)), tokens
        return make

    return {
        "AlexNet": vision("alexnet"), "ResNet-50": vision("resnet50"),
        "MobileNetV3-L": vision("mobilenet_v3_large"), "ViT-B/16": vision("vit_b_16"),
        "GPT-2": language("GPT2", torch.float32, LENGTHS["GPT-2"]),
        "Llama-2-7B": language("Llama", torch.bfloat16, LENGTHS["Llama-2-7B"]),
    }


# Tokens in a sequence, as the files have them.
LENGTHS = {"GPT-2": 1024, "Llama-2-7B": 128}


def time_pytorch(torch, model, inputs, arguments):
    """Median seconds: TF32 is off, as it is in Taper's runs."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    on_cuda = arguments.device.startswith("cuda")
    started = time.monotonic()
    while time.monotonic() - started < 1:
        model(inputs)
    samples, started = [], time.monotonic()
    while len(samples) < 10 or time.monotonic() - started < arguments.seconds:
        if on_cuda:
            before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            before.record()
            model(inputs)
            after.record()
            after.synchronize()
            samples.append(before.elapsed_time(after) / 1e3)
        else:
            before = time.perf_counter()
            model(inputs)
            samples.append(time.perf_counter() - before)
    return sorted(samples)[len(samples) // 2]


def time_of(seconds):
    for scale, unit in ((1, "s"), (1e3, "ms")):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def markdown(report):
    """What is in the report so far."""
    lines = [f"# On a GPU: {report['at']}", "", f"`{report['version']}`", "", "```text", *report["devices"], "```", ""]
    pytorch = report.get("pytorch", {"error": "not tried"})
    eager = {(one["name"], one["batch"]): one for one in pytorch.get("models", [])}
    lines += [f"| model | batch | dtype | time | 95 % between | throughput | memory | between layers | "
              f"PyTorch {pytorch.get('version', 'eager')} | "
              "Taper / PyTorch | estimate | time / estimate | notes |",
              "|---|--:|---|--:|---|--:|--:|--:|--:|--:|--:|--:|---|"]
    for one in report.get("benchmarks", []):
        result, theirs = one["result"], eager.get((one["name"], one["batch"]), {})
        other = time_of(theirs["median"]) if "median" in theirs else theirs.get("error", pytorch.get("error", ""))
        if "error" in result:
            lines.append(f"| {one['name']} | {one['batch']} | {one['dtype']} | | | | | | {other} | | | | {result['error']} |")
            continue
        whole, speed = result["whole"], result["throughput"]
        ratio = f"{whole['median'] / theirs['median']:.2f}" if "median" in theirs else ""
        memory = f"{result['peak_memory'] / 2**20:.0f} MiB" if result.get("peak_memory") else ""
        interval = " … ".join(map(time_of, whole["interval"])) if whole["interval"] else ""
        between = f"{100 * result['between'] / whole['median']:.1f} %"
        sheet = one.get("estimate")
        estimate = f"{time_of(sheet)} | {whole['median'] / sheet:.1f}" if sheet else " | "
        notes = "; ".join(["INVALID: " + reason for reason in result["invalid"]] + result["doubts"])
        lines.append(f"| {one['name']} | {one['batch']} | {one['dtype']} | {time_of(whole['median'])} | {interval} | "
                     f"{speed['per_second']:.4g} {speed['unit']}/s | {memory} | {between} | {other} | {ratio} | {estimate} | {notes} |")
    if repeated := report.get("repeated"):
        spread = repeated.get("spread")
        lines += ["", f"ResNet-50 measured five times: the medians are within {100 * spread:.2f} % of each other."
                  if spread is not None else f"Measured again: {repeated['error']}"]
    if "correctness" in report:
        lines += ["", "| outputs against the CPU | largest difference |", "|---|--:|"]
    for one in report.get("correctness", []):
        shown = f"{one['difference']:.1e}" if one["difference"] is not None else one["error"]
        lines.append(f"| {one['name']} | {shown} |")
    if memory := report.get("out_of_memory"):
        lines += ["", "| what does not fit | what is said |", "|---|---|"]
        lines += [f"| {when} | {message} |" for when, message in memory.items()]
    if cancel := report.get("cancel"):
        lines += ["", f"Cancelled: ended after {1e3 * cancel['seconds']:.0f} ms, "
                  f"{cancel['workers_left']} workers left."]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
