"""`GET /metrics` for Prometheus."""

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from voice_cli.server.service import Service

router = APIRouter(tags=["Status"])


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Return the metrics in Prometheus's format."""
    service: Service = request.app.state.service
    return Response(generate_latest(service.metrics), media_type=CONTENT_TYPE_LATEST)
