"""Turn a sentence-transformers model folder into the model that storybank ships.

    python training/export.py MODEL_FOLDER storybank/model --name storybank-minilm-2 \\
        --base sentence-transformers/all-MiniLM-L6-v2 --licence Apache-2.0 \\
        --probes training/questions/train*.jsonl

The ONNX graph takes token ids and gives token vectors, which the package pools over a question, a
story or a passage; and, where train.py left a head for late interaction beside the model, the small
vector and the weight of each token. The vectors of the probe questions are kept beside it. Three
choices keep the small file faithful:

- int8 weights with one scale per output channel; activations are quantised on the fly;
- 7 of the 8 bits: without VNNI instructions, x86 adds 8-bit products in 16 bits and would
  saturate, and the same question could rank differently on two machines;
- the first layer's feed-forward output stays in 16 bits: its activations have outliers, and
  leaving this one matrix out of quantisation raises the mean cosine from .990 to .993.

Needs the packages of the extra `train`. The same input gives the same bytes with the same versions
of torch, onnx and onnxruntime.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process
from reader import TokenHead
from sentence_transformers import SentenceTransformer

from storybank.encoders import probes
from storybank.encoders.onnx import PROBES, OnnxEncoder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from transformers import PreTrainedModel

OPSET = 20  # the first with Gelu as one operator
MIN_COSINE_FLOAT = 0.9999
MIN_COSINE_INT8 = 0.98
SAMPLES = [
    "Tell me about a time you used data to adapt your strategy.",
    "bad estimate owned up",
    "Result: He called off the order on 3 November; bins went to 6.8 per cent by January.",
    "I asked him for a coffee outside the office. " * 12,
    "x",
]


class TokenVectors(torch.nn.Module):
    """A transformer: ids [b, t] -> token vectors [b, t, d], and what the head makes of them.

    Mask, positions and token types are passed explicitly: torch.export of a BERT that derives them
    itself yields a program with other values (seen with torch 2.13 and transformers 5.23).
    """

    def __init__(self, transformer: PreTrainedModel, head: TokenHead | None) -> None:
        super().__init__()
        self.transformer, self.head = transformer, head

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Token vectors [b, t, d], small ones [b, t, p] and weights [b, t] of ids and mask."""
        kept = attention_mask.to(torch.float32)
        tokens: torch.Tensor = self.transformer(
            input_ids=input_ids,
            attention_mask=(1.0 - kept[:, None, None, :]) * torch.finfo(torch.float32).min,
            token_type_ids=torch.zeros_like(input_ids),
            position_ids=torch.arange(input_ids.shape[1])[None],
        ).last_hidden_state
        return (tokens, *self.head(tokens)) if self.head else (tokens,)


def check_pipeline(model: SentenceTransformer) -> None:
    """Refuse a model whose modules the exported graph would not reproduce."""
    modules = [type(module).__name__ for module in model]
    if modules != ["Transformer", "Pooling", "Normalize"] or model[1].pooling_mode != "mean":
        raise SystemExit(
            f"can export Transformer, mean Pooling and Normalize only; this model has {modules}"
        )


def export_graph(model: SentenceTransformer, head: TokenHead | None, path: Path) -> None:
    """Write the float32 graph, with batch size and token count left open."""
    transformer = model[0].auto_model.eval()
    ids = torch.randint(1000, 2000, (3, 11))
    batch = torch.export.Dim("batch")
    tokens = torch.export.Dim("tokens", max=transformer.config.max_position_embeddings)
    shapes = {0: batch, 1: tokens}
    torch.onnx.export(
        TokenVectors(transformer, head).eval(),
        (ids, torch.ones_like(ids)),
        path,
        input_names=["input_ids", "attention_mask"],
        output_names=["last_hidden_state", "token_vectors", "token_weights"][: 3 if head else 1],
        dynamic_shapes={"input_ids": shapes, "attention_mask": shapes},
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
        verbose=False,
    )


def first_feed_forward_output(graph: onnx.GraphProto) -> onnx.NodeProto:
    """The first matrix product whose weight narrows: intermediate size to hidden size."""
    shapes = {weight.name: weight.dims for weight in graph.initializer}
    return next(
        node
        for node in graph.node
        if node.op_type == "MatMul"
        and node.input[1] in shapes
        and shapes[node.input[1]][0] > shapes[node.input[1]][1]
    )


def store_in_half(graph: onnx.GraphProto, weight: str) -> None:
    """Keep one float32 weight as float16 on disk; onnxruntime widens it once, when it loads."""
    tensor = next(tensor for tensor in graph.initializer if tensor.name == weight)
    half = numpy_helper.to_array(tensor).astype(np.float16)
    graph.initializer.remove(tensor)
    graph.initializer.append(numpy_helper.from_array(half, f"{weight}_half"))
    cast = helper.make_node("Cast", [f"{weight}_half"], [weight], to=onnx.TensorProto.FLOAT)
    graph.node.insert(0, cast)


def strip_traces(model: onnx.ModelProto) -> None:
    """Remove where each node came from: paths of this machine, and other bytes for each edit."""
    graph = model.graph
    parts = (graph.node, graph.input, graph.output, graph.value_info, graph.initializer)
    for holder in (model, graph, *(each for part in parts for each in part)):
        holder.ClearField("metadata_props")
        holder.ClearField("doc_string")


def quantise(source: Path, target: Path) -> None:
    """Write the float32 graph `source` with int8 weights to `target`."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        precise = first_feed_forward_output(onnx.load(prepared).graph)
        quantize_dynamic(
            prepared,
            target,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            nodes_to_exclude=[precise.name],
        )
    model = onnx.load(target)
    store_in_half(model.graph, precise.input[1])
    strip_traces(model)
    onnx.save(model, target)


def write_tokenizer(model: SentenceTransformer, path: Path) -> None:
    """Write tokenizer.json without padding or truncation, which the encoder sets itself."""
    tokenizer = model.tokenizer.backend_tokenizer
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.save(str(path), pretty=False)


def cosines(graph: Path, model: SentenceTransformer) -> np.ndarray:
    """Cosine between the graph's and sentence-transformers' own vectors, one per sample."""
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    result = []
    for text, expected in zip(SAMPLES, model.encode(SAMPLES), strict=True):
        batch = model.tokenizer([text], truncation=True, max_length=model.max_seq_length)
        inputs = {key: np.array(batch[key]) for key in ("input_ids", "attention_mask")}
        pooled = session.run(None, inputs)[0][0].mean(0)
        result.append(float(pooled @ expected / np.linalg.norm(pooled)))
    return np.array(result)


def require(cosine: np.ndarray, least: float, what: str) -> None:
    """Stop when a graph does not reproduce the model it was made from."""
    print(f"{what}: cosine to the original, mean {cosine.mean():.4f}, lowest {cosine.min():.4f}")
    if cosine.min() < least:
        raise SystemExit(f"the {what} graph is not the model: cosine below {least}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="a sentence-transformers model folder")
    parser.add_argument("target", type=Path, help="the folder to write, made if absent")
    parser.add_argument("--name", required=True, help="the name that storybank will print")
    parser.add_argument("--base", required=True, help="the model it was trained from")
    parser.add_argument("--licence", required=True, help="of the base, as an SPDX name")
    parser.add_argument("--max-tokens", type=int, default=384, help="that a story is read in")
    parser.add_argument(
        "--probes", nargs="*", type=Path, default=[], help="pools of questions, as JSON Lines"
    )
    arguments = parser.parse_args()

    model = SentenceTransformer(
        str(arguments.source), device="cpu", model_kwargs={"attn_implementation": "eager"}
    )
    check_pipeline(model)
    head = TokenHead.load(arguments.source)
    arguments.target.mkdir(parents=True, exist_ok=True)
    graph, tokenizer = arguments.target / "model.onnx", arguments.target / "tokenizer.json"
    with tempfile.TemporaryDirectory() as folder:
        full = Path(folder) / "full.onnx"
        export_graph(model, head, full)
        require(cosines(full, model), MIN_COSINE_FLOAT, "float32")
        quantise(full, graph)
    require(cosines(graph, model), MIN_COSINE_INT8, "int8")
    write_tokenizer(model, tokenizer)
    facts = {
        "name": arguments.name,
        "base": arguments.base,
        "licence": arguments.licence,
        "dimension": model.get_embedding_dimension(),
        "max_tokens": arguments.max_tokens,
        "token_size": head.project.out_features if head else 0,
    }
    write_facts(arguments.target, facts, (graph, tokenizer))
    if arguments.probes:
        questions = read_probes(arguments.probes)
        path = arguments.target / PROBES
        probes.save(str(path), OnnxEncoder(str(arguments.target)).questions(questions))
        write_facts(arguments.target, facts, (graph, tokenizer, path))


def read_probes(pools: Sequence[Path]) -> list[str]:
    """All questions of the pools, each once."""
    lines = (line for path in pools for line in path.read_text(encoding="utf-8").splitlines())
    return list(dict.fromkeys(json.loads(line)["question"] for line in lines))


def write_facts(folder: Path, facts: Mapping[str, object], files: Sequence[Path]) -> None:
    """Write model.json, with the digests of the other files."""
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    text = json.dumps({**facts, "sha256": digests}, indent=2) + "\n"
    (folder / "model.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
