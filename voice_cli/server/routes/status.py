"""`GET /metrics` for Prometheus."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from voice_cli.server.metrics import CONTENT_TYPE
from voice_cli.server.service import Service

router = APIRouter(tags=["Status"])


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Return the metrics in Prometheus's format."""
    service: Service = request.app.state.service
    return Response(service.metrics.text(), media_type=CONTENT_TYPE)
