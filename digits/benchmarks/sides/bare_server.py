"""This project's own API on a plain uvicorn, without Ray. Arguments: port on loopback, checkpoint."""

import sys

import uvicorn

from digits.service.api import create_api
from digits.service.service import Service


def main(port: int, path: str) -> None:
    service = Service()
    service.swap({"checkpoint": path})
    uvicorn.run(create_api(service), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
