"""A task function's signature as the shape of its payload.

Arguments bind by name to one JSON object. Adding a parameter with a default is therefore a
compatible change: older payloads lack it and get the default. What binds is what loads: `bind`
reads its own bytes back as the worker will, so that an argument that does not fit its annotation
is refused where the task is enqueued, in the terms of the function.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, Never, NoReturn, Self, Union, get_args, get_origin, get_type_hints

import msgspec

from tidemill.codec import DEFAULT_CODEC, Codec, decoder, parse, read
from tidemill.errors import DeclarationError, PayloadError, PayloadInvalid, ResultInvalid

_REFUSED = {
    inspect.Parameter.VAR_POSITIONAL: "takes *{name}, which has no names: use a list or **{name}",
    inspect.Parameter.POSITIONAL_ONLY: "has the positional-only parameter {name}: drop the /",
}


_RAW_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Signature:
    """How the arguments and the result of one function become bytes and come back.

    `context_parameter` is the name of the parameter that is injected, `parameters` the names of the
    others, `payload_type` the struct that they form (for a JSON schema).
    """

    task_type: str
    parameters: tuple[str, ...]
    context_parameter: str | None
    payload_type: type[msgspec.Struct]
    codec: Codec
    _positional: tuple[str, ...]
    _texts: tuple[str, ...]
    _payload: msgspec.json.Decoder[msgspec.Struct]
    _extra: msgspec.json.Decoder[Any] | None
    _result: msgspec.json.Decoder[Any]

    @classmethod
    def of(
        cls,
        function: Callable[..., object],
        *,
        task_type: str,
        context: type | None = None,
        not_results: tuple[type, ...] = (),
        codec: Codec = DEFAULT_CODEC,
    ) -> Self:
        """Read a function once; raise DeclarationError if no payload can stand for its arguments.

        A first parameter annotated with `context` is left out of the payload. `not_results` are the
        types that the function may return besides its result, such as Snooze.
        """
        hints = _hints(function, task_type)
        parameters = list(inspect.signature(function).parameters.values())
        for parameter in parameters:
            if parameter.kind in _REFUSED:
                complaint = _REFUSED[parameter.kind].format(name=parameter.name)
                raise DeclarationError(f"{task_type} {complaint}")
        context_parameter = None
        if parameters and _is(context, hints.get(parameters[0].name)):
            context_parameter = parameters.pop(0).name
        for parameter in parameters:
            if _is(context, hints.get(parameter.name)):
                raise DeclarationError(
                    f"{task_type} takes its context as {parameter.name}: it must come first"
                )
        extra = [each for each in parameters if each.kind is inspect.Parameter.VAR_KEYWORD]
        named = [each for each in parameters if each.kind is not inspect.Parameter.VAR_KEYWORD]
        payload_type = _struct(task_type, named, hints, closed=not extra)
        return cls(
            task_type=task_type,
            parameters=tuple(each.name for each in named),
            context_parameter=context_parameter,
            payload_type=payload_type,
            codec=codec,
            _positional=tuple(
                each.name for each in named if each.kind is not inspect.Parameter.KEYWORD_ONLY
            ),
            _texts=tuple(each.name for each in named if hints.get(each.name) in (str, str | None)),
            _payload=_decoder(task_type, "a parameter", payload_type),
            _extra=(
                _decoder(task_type, f"**{extra[0].name}", hints.get(extra[0].name, Any))
                if extra
                else None
            ),
            _result=_decoder(task_type, "the result", _result_hint(hints, not_results)),
        )

    def bind(self, args: Sequence[object], kwargs: Mapping[str, object]) -> bytes:
        """Encode the arguments of a call as a payload.

        Raises PayloadInvalid, which names the parameter, or PayloadTooLarge. Parameters left to
        their defaults are not in the payload.
        """
        given = self._named(args, kwargs) if args else dict(kwargs)
        for name in self._texts:
            # JSON writes bytes, UUID and dates as strings too, and would hide the mistake.
            if name in given and not isinstance(given[name], str | None):
                found = type(given[name]).__name__
                raise self._invalid(f"expected str, got {found}", name)
        payload = self.codec.encode(given, task_type=self.task_type)
        self._read(payload)
        return payload

    def load(self, payload: bytes) -> dict[str, object]:
        """Decode a payload into keyword arguments for the function, defaults included.

        Raises PayloadUndecodable, or PayloadInvalid, which names the parameter.
        """
        arguments, extra = self._read(payload)
        return {**msgspec.structs.asdict(arguments), **extra}

    def encode_result(self, value: object) -> bytes:
        """Encode what the function returned, or raise ResultInvalid if it does not fit."""
        try:
            data = self.codec.encode(value)
            read(data, self._result)
        except PayloadError as error:
            raise ResultInvalid(self.task_type, str(error)) from error
        return data

    def decode_result(self, data: bytes) -> Any:
        """Decode a result as the return annotation; raises ResultInvalid or PayloadUndecodable."""
        try:
            return read(data, self._result)
        except PayloadInvalid as error:
            raise ResultInvalid(self.task_type, str(error)) from error

    def _named(self, args: Sequence[object], kwargs: Mapping[str, object]) -> dict[str, object]:
        if len(args) > len(self._positional):
            raise self._invalid(
                f"takes {len(self._positional)} positional arguments, got {len(args)}"
            )
        given = dict(zip(self._positional, args, strict=False))
        for name in given.keys() & kwargs.keys():
            raise self._invalid("is given twice, by position and by name", name)
        return {**given, **kwargs}

    def _read(self, payload: bytes) -> tuple[msgspec.Struct, dict[str, object]]:
        arguments = read(payload, self._payload, task_type=self.task_type)
        return arguments, self._read_extra(payload, self._extra) if self._extra else {}

    def _read_extra(self, payload: bytes, decoder: msgspec.json.Decoder[Any]) -> dict[str, object]:
        """Decode the fields that only **kwargs takes."""
        extra = {}
        for name, raw in read(payload, _RAW_FIELDS).items():
            if name == self.context_parameter:
                raise self._invalid("is the name of the context, which is injected", name)
            if name not in self.parameters:
                extra[name] = parse(raw, decoder, task_type=self.task_type, inside=name)
        return extra

    def _invalid(self, reason: str, field: str | None = None) -> PayloadInvalid:
        return PayloadInvalid(reason, field=field, task_type=self.task_type)


def _hints(function: Callable[..., object], task_type: str) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise DeclarationError(
            f"the annotations of {task_type} cannot be read: {error}; what they name must be "
            "importable where the function is defined"
        ) from error


def _is(context: type | None, hint: Any) -> bool:
    return context is not None and (hint is context or get_origin(hint) is context)


def _struct(
    task_type: str, named: Sequence[inspect.Parameter], hints: Mapping[str, Any], *, closed: bool
) -> type[msgspec.Struct]:
    return msgspec.defstruct(
        "Payload",
        [_field(each, hints.get(each.name, Any)) for each in named],
        kw_only=True,
        forbid_unknown_fields=closed,
        namespace={"__doc__": f"The payload of {task_type}."},
    )


def _field(parameter: inspect.Parameter, hint: Any) -> tuple[str, Any] | tuple[str, Any, Any]:
    if parameter.default is parameter.empty:
        return parameter.name, hint
    # A factory that gives the function's own default: as in a call, neither copied nor checked.
    return parameter.name, hint, msgspec.field(default_factory=lambda: parameter.default)


def _decoder(task_type: str, what: str, hint: Any) -> msgspec.json.Decoder[Any]:
    try:
        return decoder(hint)
    except DeclarationError as error:
        raise DeclarationError(f"{what} of {task_type}: {error}") from error


def _result_hint(hints: Mapping[str, Any], not_results: tuple[type, ...]) -> Any:
    """Give the return annotation without what is not a result."""
    hint = hints.get("return", Any)
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    results = tuple(each for each in members if each not in not_results)
    if not results or results[0] in (Never, NoReturn):
        return None
    return Union[results]  # noqa: UP007 - a union of a number of members that only run time knows
