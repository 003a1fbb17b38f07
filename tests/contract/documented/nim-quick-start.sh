# NVIDIA NIM for LLMs, "Getting started", option 2: from NGC
docker run -it --rm --name=Llama3-8B-Instruct \
  --runtime=nvidia \
  --gpus all \
  --shm-size=16GB \
  -e NGC_API_KEY=$NGC_API_KEY \
  -v "/home/ops/.cache/nim:/opt/nim/.cache" \
  -u $(id -u) \
  -p 8000:8000 \
  nvcr.io/nim/meta/llama3-8b-instruct:latest
