"""A task function's signature as the shape of its payload.

Arguments bind by name to one JSON object. Adding a parameter with a default is therefore a
compatible change: older payloads lack it and get the default. What binds is what loads: `bind`
reads its own bytes back as the worker will, so that an argument that does not fit its annotation
is refused where the task is enqueued, in the terms of the function.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import UnionType
from typing import Any, Never, NoReturn, Self, Union, get_args, get_origin, get_type_hints

import msgspec

from tidemill.codec import DEFAULT_CODEC, Codec, decoder, parse, read
from tidemill.errors import DeclarationError, PayloadError, PayloadInvalid, ResultInvalid
from tidemill.inputs import Place, Placeholder, parted
from tidemill.secret import Secrets, Veil, secret_paths

_REFUSED = {
    inspect.Parameter.VAR_POSITIONAL: "takes *{name}, which has no names: use a list or **{name}",
    inspect.Parameter.POSITIONAL_ONLY: "has the positional-only parameter {name}: drop the /",
}


_RAW_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ANYTHING: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
_TEXTS = (str, type(None), Placeholder)


@dataclass(frozen=True, slots=True)
class BoundAround:
    """A payload that lacks results of steps: `places` says of which, `known` are the others."""

    payload: bytes
    places: Mapping[Place, str]
    known: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Signature:
    """How the arguments and the result of one function become bytes and come back.

    `context_parameter` is the name of the parameter that is injected, `parameters` the names of the
    others, `payload_type` the struct that they form (for a JSON schema). Of a batch task type they
    are the fields of its `item`. `secrets` are the places of what is declared secret.
    """

    task_type: str
    parameters: tuple[str, ...]
    context_parameter: str | None
    payload_type: type[msgspec.Struct]
    secrets: Secrets
    codec: Codec
    item: Callable[..., Any] | None
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
        context_parameter = None
        if parameters and _is(context, hints.get(parameters[0].name)):
            context_parameter = parameters.pop(0).name
        for parameter in parameters:
            if _is(context, hints.get(parameter.name)):
                raise DeclarationError(
                    f"{task_type} takes its context as {parameter.name}: it must come first"
                )
        result = _result_hint(hints.get("return", Any), not_results)
        return cls._made(task_type, parameters, hints, result, codec, context=context_parameter)

    @classmethod
    def of_items(
        cls,
        item: Callable[..., object],
        function: Callable[..., object],
        *,
        task_type: str,
        not_results: tuple[type, ...] = (),
        codec: Codec = DEFAULT_CODEC,
    ) -> Self:
        """Read the fields of a class of items as parameters, and what the function gives for each.

        Fields with a default may be missing from a payload: the class fills them in. Raises
        DeclarationError.
        """
        try:
            parameters = list(inspect.signature(item).parameters.values())
        except (TypeError, ValueError):
            parameters = []
        hints = _hints(item, task_type) if parameters else {}
        if not hints:
            raise DeclarationError(
                f"{task_type} handles batches of {item!r}, which has no typed fields: use a "
                "msgspec.Struct, a dataclass, a NamedTuple or a pydantic model"
            )
        returned = _hints(function, task_type).get("return", Any)
        result = _result_hint(_each_hint(returned, task_type), not_results)
        return cls._made(task_type, parameters, hints, result, codec, item=item)

    @classmethod
    def _made(
        cls,
        task_type: str,
        parameters: Sequence[inspect.Parameter],
        hints: Mapping[str, Any],
        result: Any,
        codec: Codec,
        *,
        context: str | None = None,
        item: Callable[..., Any] | None = None,
    ) -> Self:
        for parameter in parameters:
            if parameter.kind in _REFUSED:
                complaint = _REFUSED[parameter.kind].format(name=parameter.name)
                raise DeclarationError(f"{task_type} {complaint}")
        extra = [each for each in parameters if each.kind is inspect.Parameter.VAR_KEYWORD]
        named = [each for each in parameters if each.kind is not inspect.Parameter.VAR_KEYWORD]
        field = _field if item is None else _field_of_item
        payload_type = _struct(
            task_type,
            [field(each, hints.get(each.name, Any)) for each in named],
            closed=not extra,
        )
        return cls(
            task_type=task_type,
            parameters=tuple(each.name for each in named),
            context_parameter=context,
            payload_type=payload_type,
            codec=codec,
            item=item,
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
            _result=_decoder(task_type, "the result", result),
            secrets=_secrets(payload_type, [hints.get(each.name, Any) for each in extra], result),
        )

    def bind(self, args: Sequence[object], kwargs: Mapping[str, object]) -> bytes:
        """Encode the arguments of a call as a payload.

        Raises PayloadInvalid, which names the parameter, or PayloadTooLarge. Parameters left to
        their defaults are not in the payload.
        """
        payload = self.codec.encode(self._given(args, kwargs), task_type=self.task_type)
        if self.item is None:
            self._read(payload)
        else:
            self.load_item(payload)  # the class may refuse what each of its fields would take
        return payload

    def bind_around(
        self, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> BoundAround | None:
        """Encode arguments that hold placeholders; None when they hold none.

        A parameter with a placeholder anywhere in it is checked when the result is there, the
        others now, by what `bind` raises.
        """
        given, places = parted(self._given(args, kwargs))
        if not places:
            return None
        awaited = frozenset(str(place[0]) for place in places)
        unknown = awaited - set(self.parameters)
        if unknown and self._extra is None:
            raise self._invalid("object contains unknown field", min(unknown))
        rest = {name: value for name, value in given.items() if name not in awaited}
        encoded = self.codec.encode(rest, task_type=self.task_type)
        try:
            rest_type = _without(self.payload_type, awaited)
            arguments = read(encoded, rest_type, task_type=self.task_type)
            extra = self._read_extra(encoded, self._extra) if self._extra else {}
        except PayloadInvalid as error:
            raise self._veiled(error, encoded) from self._cause(error.__cause__)
        return BoundAround(
            payload=self.codec.encode(given, task_type=self.task_type),
            places=places,
            known={**msgspec.structs.asdict(arguments), **extra},
        )

    def load(self, payload: bytes) -> dict[str, object]:
        """Decode a payload into keyword arguments for the function, defaults included.

        Raises PayloadUndecodable, or PayloadInvalid, which names the parameter.
        """
        if self.item is not None:
            item = self.load_item(payload)
            return {name: getattr(item, name) for name in self.parameters}
        arguments, extra = self._read(payload)
        return {**msgspec.structs.asdict(arguments), **extra}

    def veil(self, payload: bytes) -> Veil | None:
        """What hides the declared secrets of a payload in texts; None where there are none."""
        if not self.secrets.payload:
            return None
        return self.secrets.veil(read(payload, _ANYTHING))

    def load_item(self, payload: bytes) -> Any:
        """Decode the payload of a batch task type into its item; raises what `load` raises."""
        arguments, extra = self._read(payload)
        fields = msgspec.structs.asdict(arguments)
        given = {name: value for name, value in fields.items() if value is not msgspec.UNSET}
        try:
            return self.item(**given, **extra) if self.item is not None else given
        except (TypeError, ValueError) as error:  # its __post_init__ refuses the values
            raise self._veiled(self._invalid(str(error)), payload) from self._cause(error)

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

    def _given(self, args: Sequence[object], kwargs: Mapping[str, object]) -> dict[str, object]:
        given = self._named(args, kwargs) if args else dict(kwargs)
        for name in self._texts:
            # JSON writes bytes, UUID and dates as strings too, and would hide the mistake.
            if name in given and not isinstance(given[name], _TEXTS):
                found = type(given[name]).__name__
                raise self._invalid(f"expected str, got {found}", name)
        return given

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
        try:
            arguments = read(payload, self._payload, task_type=self.task_type)
            return arguments, self._read_extra(payload, self._extra) if self._extra else {}
        except PayloadInvalid as error:
            raise self._veiled(error, payload) from self._cause(error.__cause__)

    def _veiled(self, error: PayloadInvalid, payload: bytes) -> PayloadInvalid:
        """The same error with no secret in it, such as a value that is none of the allowed ones."""
        veil = self.veil(payload)
        return error if veil is None else self._invalid(veil(error.reason), error.field)

    def _cause(self, error: BaseException | None) -> BaseException | None:
        """What an error comes from, unless its own text may show a secret."""
        return None if self.secrets.payload else error

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


_Field = tuple[str, Any] | tuple[str, Any, Any]


def _struct(task_type: str, fields: Sequence[_Field], *, closed: bool) -> type[msgspec.Struct]:
    return msgspec.defstruct(
        "Payload",
        fields,
        kw_only=True,
        forbid_unknown_fields=closed,
        namespace={"__doc__": f"The payload of {task_type}."},
    )


def _field(parameter: inspect.Parameter, hint: Any) -> _Field:
    if parameter.default is parameter.empty:
        return parameter.name, hint
    # A factory that gives the function's own default: as in a call, neither copied nor checked.
    return parameter.name, hint, msgspec.field(default_factory=lambda: parameter.default)


def _field_of_item(parameter: inspect.Parameter, hint: Any) -> _Field:
    if parameter.default is parameter.empty:
        return parameter.name, hint
    # What stands for a factory in a class's signature is no value: the class itself knows.
    return parameter.name, Union[hint, msgspec.UnsetType], msgspec.UNSET  # noqa: UP007 - any hint


@lru_cache(maxsize=256)
def _without(
    payload_type: type[msgspec.Struct], left_out: frozenset[str]
) -> msgspec.json.Decoder[msgspec.Struct]:
    """The decoder of a payload that lacks some parameters; a workflow has many of one kind."""
    kept = [
        (field.name, field.type) if field.required else (field.name, field.type, _default_of(field))
        for field in msgspec.structs.fields(payload_type)
        if field.name not in left_out
    ]
    closed = payload_type.__struct_config__.forbid_unknown_fields
    return decoder(msgspec.defstruct("Payload", kept, kw_only=True, forbid_unknown_fields=closed))


def _default_of(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is msgspec.NODEFAULT:
        return field.default
    return msgspec.field(default_factory=field.default_factory)


def _secrets(payload_type: Any, others: Sequence[Any], result: Any) -> Secrets:
    """The places of secrets; where **others may be one, everything is taken for one."""
    anywhere = [(None, *path) for hint in others for path in secret_paths(hint)]
    return Secrets((*secret_paths(payload_type), *anywhere), secret_paths(result))


def _decoder(task_type: str, what: str, hint: Any) -> msgspec.json.Decoder[Any]:
    try:
        return decoder(hint)
    except DeclarationError as error:
        raise DeclarationError(f"{what} of {task_type}: {error}") from error


def _each_hint(hint: Any, task_type: str) -> Any:
    """What a batch function gives for each item, by its return annotation."""
    if hint in (Any, None, type(None)):
        return hint
    members = [each for each in _members(hint) if each is not type(None)]
    results: list[Any] = []
    for member in members:
        origin, parts = get_origin(member) or member, get_args(member)
        if (
            not (isinstance(origin, type) and issubclass(origin, Sequence))
            or issubclass(origin, str | bytes)
            or (issubclass(origin, tuple) and parts[1:] != (...,))
        ):
            raise DeclarationError(
                f"{task_type} handles a batch, so it returns None or a value for each item: "
                f"annotate that as list[…], not as {member}"
            )
        results.append(parts[0] if parts else Any)
    return Union[tuple(results)]  # noqa: UP007 - a union of a number of members that only run time knows


def _members(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _result_hint(hint: Any, not_results: tuple[type, ...]) -> Any:
    """Give a return annotation without what is not a result."""
    results = tuple(each for each in _members(hint) if not _is_any(each, not_results))
    if not results or results[0] in (Never, NoReturn):
        return None
    return Union[results]  # noqa: UP007 - a union of a number of members that only run time knows


def _is_any(hint: Any, kinds: tuple[type, ...]) -> bool:
    """Whether a hint is a class of one of these kinds."""
    return isinstance(hint, type) and issubclass(hint, kinds)
