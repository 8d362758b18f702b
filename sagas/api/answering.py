"""Answers from outside to a step that waits for one. The signed token is the authority: nobody has to log in.

A browser adds no token by itself, so there is nothing to forge across sites and no CSRF check. Whoever answers learns
nothing about the saga but its id, which their token told them already.
"""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from ..engine import answer
from .base import ApiView
from .formats import AnswerParser
from .permissions import HasToken
from .serializers import checked
from .throttling import ANSWER
from .wishes import AnsweredSerializer, AnswerSerializer


class AnswerView(ApiView):
    """The work behind a `Pending` is done, or surely is not."""

    authentication_classes = ()
    permission_classes = (HasToken,)
    parser_classes = (AnswerParser,)
    serializer_class = AnsweredSerializer
    throttle_scope = ANSWER
    http_method_names = ["post"]

    def post(self, request: Request) -> Response:
        """200 for the answer and for the same again; 409 when it is too late or another one was given before."""
        wish = checked(AnswerSerializer(data=request.data))
        if "error" in wish:
            error = wish["error"]
            saga = answer.fail_step(wish["token"], error.get("message", ""), code=error["code"])
        else:
            saga = answer.complete_step(wish["token"], wish["output"])
        self.log("step answered over REST", "rest_answer", saga)
        return Response({"saga": saga.ulid})
