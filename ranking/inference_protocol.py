"""The Open Inference Protocol, version 2, over the same rankings: for standard clients and tools.

A ranking is an inference whose inputs are columns: ``user_id`` and, one a candidate, ``item_id``;
optional are ``category_id``, ``bid``, and, one each, ``trigger_item_id``, ``trigger_category_id``,
``page``, ``time_ms``.
The outputs are ``probability`` and ``score``, in the order of the candidates. A model's version is
the fingerprint of its bundle.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, get, post
from litestar.exceptions import HTTPException, NotFoundException
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import FromPath, PathParameter
from msgspec import Meta

from interest_center.core.errors import BadRequestError
from models.bundle import Bundle
from ranking.http_bodies import AnyRequest, body_of, encoded, trace_of
from ranking.messages import RankAnswer, RankRequest
from ranking.openapi import NOT_READY, REFUSALS, BodyOperation, refusal_spec
from ranking.rankings import Rankings
from ranking.request_reading import JSON_MEDIA_TYPE, check_request, decode_message, refusal

Datatype = Literal["BYTES", "FP64", "INT64"]

NAME, PLATFORM = "user-interest-center", "pytorch_user_interest_center"
#: Of each input: its type, whether it has one value a candidate, and whether it has to be there.
INPUTS: dict[str, tuple[Datatype, bool, bool]] = {
    "user_id": ("BYTES", False, True),
    "item_id": ("BYTES", True, True),
    "category_id": ("BYTES", True, False),
    "bid": ("FP64", True, False),
    "trigger_item_id": ("BYTES", False, False),
    "trigger_category_id": ("BYTES", False, False),
    "page": ("INT64", False, False),
    "time_ms": ("INT64", False, False),
}
#: Fields of the trigger, by the column that holds them.
TRIGGER = {"trigger_item_id": "item_id", "trigger_category_id": "category_id"}
OUTPUTS: dict[str, Datatype] = {"probability": "FP64", "score": "FP64"}
ModelName = Annotated[
    str, PathParameter(description="As the bundles are named.", examples=[Example(value="default")])
]
NO_MODEL = {404: refusal_spec("There is no such model, or not in this version.")}


class InputTensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One column of the request.

    Attributes:
        name: One of ``INPUTS``.
        shape: ``[n]``.
        datatype: As the model's metadata say it.
        data: The values.
        parameters: Ignored.
    """

    name: str
    shape: Annotated[list[Annotated[int, Meta(ge=0)]], Meta(min_length=1, max_length=2)]
    datatype: str
    data: list[str | float | int]
    parameters: dict[str, Any] = {}


class RequestedOutput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An output that is wanted; all are when none is named."""

    name: Literal["probability", "score"]
    parameters: dict[str, Any] = {}


class InferRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An inference.

    Attributes:
        inputs: Columns, each once.
        id: Comes back in the answer.
        outputs: Wanted outputs.
        parameters: Ignored.
    """

    inputs: Annotated[list[InputTensor], Meta(min_length=1, max_length=len(INPUTS))]
    id: str | None = None
    outputs: list[RequestedOutput] = []
    parameters: dict[str, Any] = {}


class OutputTensor(msgspec.Struct, frozen=True):
    """One column of the answer."""

    name: str
    datatype: Datatype
    shape: list[int]
    data: list[float]


class InferAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer of an inference; ``parameters`` say what the scores were made from."""

    model_name: str
    model_version: str
    outputs: list[OutputTensor]
    parameters: dict[str, str | int]
    id: str | None = None


class TensorMetadata(msgspec.Struct, frozen=True):
    """A column of a model; -1 stands for the number of candidates."""

    name: str
    datatype: Datatype
    shape: list[int]


class ModelMetadata(msgspec.Struct, frozen=True):
    """What a model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ServerMetadata(msgspec.Struct, frozen=True):
    """What this server is."""

    name: str
    version: str
    extensions: list[str]


class Live(msgspec.Struct, frozen=True):
    """The process answers."""

    live: bool = True


class Ready(msgspec.Struct, frozen=True):
    """Rankings are made from states."""

    ready: bool = True


class ModelReady(msgspec.Struct, frozen=True):
    """The model is loaded and warm."""

    name: str
    ready: bool = True


class InferOperation(BodyOperation):
    """An inference."""

    body = InferRequest
    about = "Columns of one ranking."


@get("/v2")
async def server_metadata() -> ServerMetadata:
    """Say what this server is."""
    return ServerMetadata(NAME, "1", [])


@get("/v2/health/live")
async def server_live() -> Live:
    """Answer as long as the process can."""
    return Live()


@get(
    "/v2/health/ready",
    responses={200: ResponseSpec(Ready, generate_examples=False), 503: NOT_READY},
)
async def server_ready(request: AnyRequest) -> Ready:
    """Tell whether rankings are made from states."""
    rankings: Rankings = request.app.state.rankings
    rankings.check_ready()
    return Ready()


def _paths(path: str) -> list[str]:
    """Return a path without and with the model's version."""
    model = "/v2/models/{name:str}"
    return [f"{model}{path}", f"{model}/versions/{{version:str}}{path}"]


@get(
    _paths(""),
    responses={200: ResponseSpec(ModelMetadata, generate_examples=False), **NO_MODEL},
)
async def model_metadata(
    request: AnyRequest, name: ModelName, version: FromPath[str | None] = None
) -> ModelMetadata:
    """Say what a model takes and gives."""
    bundle = _bundle(request, name, version)
    return ModelMetadata(
        name=name,
        versions=[bundle.fingerprint],
        platform=PLATFORM,
        inputs=[
            TensorMetadata(column, kind, [-1 if each else 1])
            for column, (kind, each, _) in INPUTS.items()
        ],
        outputs=[TensorMetadata(column, kind, [-1]) for column, kind in OUTPUTS.items()],
    )


@get(
    _paths("/ready"),
    responses={200: ResponseSpec(ModelReady, generate_examples=False), **NO_MODEL},
)
async def model_ready(
    request: AnyRequest, name: ModelName, version: FromPath[str | None] = None
) -> ModelReady:
    """Tell that a model is loaded and warm, which it is as long as this server answers."""
    _bundle(request, name, version)
    return ModelReady(name)


@post(
    _paths("/infer"),
    status_code=200,
    operation_class=InferOperation,
    responses={
        200: ResponseSpec(InferAnswer, generate_examples=False, description="The columns."),
        **REFUSALS,
        **NO_MODEL,
    },
)
async def infer(
    request: AnyRequest, name: ModelName, version: FromPath[str | None] = None
) -> Response[bytes]:
    """Score the candidates of a request given as columns."""
    bundle = _bundle(request, name, version)
    rankings: Rankings = request.app.state.rankings
    media_type, body = await body_of(request)
    if media_type != JSON_MEDIA_TYPE:
        raise HTTPException(status_code=415, detail=f"expected {JSON_MEDIA_TYPE}")
    asked: list[InferRequest] = []
    ranked: list[RankRequest] = []

    def read() -> RankRequest:
        asked.append(decode_message(body, media_type, InferRequest))
        ranked.append(rank_request(asked[0], name))
        return ranked[0]

    answer = await rankings.rank(read, trace_of(request))
    return encoded(request, infer_answer(asked[0], ranked[0], answer, name, bundle.fingerprint))


def rank_request(asked: InferRequest, model: str) -> RankRequest:
    """Return the ranking that columns ask for.

    Raises:
        BadRequestError: A column is missing, of another type or length, or holds a wrong value.
    """
    columns = _columns(asked)
    n = len(columns["item_id"][1])
    candidates: list[dict[str, Any]] = [{} for _ in range(n)]
    fields: dict[str, Any] = {"candidates": candidates, "model": model}
    for name, (place, data) in columns.items():
        _, each, _ = INPUTS[name]
        if len(data) != (n if each else 1):
            wanted = f"{n} values, one a candidate" if each else "one value"
            raise BadRequestError(f"expected {wanted}, got {len(data)}", f"inputs[{place}].data")
        if name in TRIGGER:
            fields.setdefault("trigger", {})[TRIGGER[name]] = data[0]
            continue
        if not each:
            fields[name] = data[0]
            continue
        for candidate, value in zip(candidates, data, strict=True):
            candidate[name] = value
    try:
        request = msgspec.convert(fields, RankRequest)
    except msgspec.ValidationError as error:
        raise _of_column(refusal(str(error)), columns) from error
    try:
        check_request(request)
    except BadRequestError as error:
        raise _of_column(error, columns) from error
    return request


def _columns(asked: InferRequest) -> dict[str, tuple[int, list[Any]]]:
    """Return the columns by name: their place among the inputs, and their values.

    Raises:
        BadRequestError: One is unknown, there twice, missing, or not what it says.
    """
    found: dict[str, tuple[int, list[Any]]] = {}
    for place, tensor in enumerate(asked.inputs):
        at = f"inputs[{place}]"
        if tensor.name not in INPUTS:
            raise BadRequestError(f"not one of {', '.join(INPUTS)}", f"{at}.name")
        if tensor.name in found:
            raise BadRequestError("the same input again", f"{at}.name")
        kind, _, _ = INPUTS[tensor.name]
        if tensor.datatype != kind:
            raise BadRequestError(f"expected {kind}", f"{at}.datatype")
        size = 1
        for length in tensor.shape:
            size *= length
        if size != len(tensor.data):
            raise BadRequestError(f"{len(tensor.data)} values are in data", f"{at}.shape")
        found[tensor.name] = place, tensor.data
    for name, (_, _, required) in INPUTS.items():
        if required and name not in found:
            raise BadRequestError(f"required, but missing: {name}", "inputs")
    return found


def _of_column(
    error: BadRequestError, columns: Mapping[str, tuple[int, list[Any]]]
) -> BadRequestError:
    """Name the value of a column instead of the field that it became."""
    head, _, name = error.field.rpartition(".")
    if head == "trigger":
        head, name = "", f"trigger_{name}"
    if name not in columns:
        return BadRequestError(f"{name}: {error.message}", "inputs")
    which = head.removeprefix("candidates") or "[0]"
    return BadRequestError(error.message, f"inputs[{columns[name][0]}].data{which}")


def infer_answer(
    asked: InferRequest, ranked: RankRequest, answer: RankAnswer, name: str, version: str
) -> InferAnswer:
    """Return the answer as columns, in the order of the candidates."""
    by_item = {item.item_id: item for item in answer.items}
    items = [by_item[candidate.item_id] for candidate in ranked.candidates]
    columns = {
        "probability": [item.probability for item in items],
        "score": [item.score for item in items],
    }
    wanted = [str(output.name) for output in asked.outputs] or list(OUTPUTS)
    about = {
        "degraded": answer.degraded,
        "history": answer.history,
        "as_of": answer.as_of,
        "watermark": answer.watermark,
    }
    return InferAnswer(
        model_name=name,
        model_version=version,
        outputs=[
            OutputTensor(column, OUTPUTS[column], [len(items)], columns[column])
            for column in wanted
        ],
        parameters={key: value for key, value in about.items() if value is not None},
        id=asked.id,
    )


def _bundle(request: AnyRequest, name: str, version: str | None) -> Bundle:
    """Return a model's bundle.

    Raises:
        NotFoundException: There is no such model, or it has another version.
    """
    rankings: Rankings = request.app.state.rankings
    bundle = rankings.bundles.get(name)
    if bundle is None:
        known = ", ".join(rankings.bundles)
        raise NotFoundException(detail=f"no model {name}; there are: {known}")
    if version not in {None, bundle.fingerprint}:
        raise NotFoundException(
            detail=f"model {name} has version {bundle.fingerprint}, not {version}"
        )
    return bundle


INFERENCE_PROTOCOL = [
    server_metadata,
    server_live,
    server_ready,
    model_metadata,
    model_ready,
    infer,
]
