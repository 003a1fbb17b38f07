# NVIDIA technical blog, "Deploying Fine-Tuned AI Models with NVIDIA NIM", on one chosen GPU
docker run --rm --gpus '"device=0"' \
    --user $(id -u):$(id -g) \
    --network=host \
    --shm-size=16GB \
    -e NGC_API_KEY \
    -e NIM_FT_MODEL=/opt/weights/hf/Llama-3.2-1B \
    -e NIM_SERVED_MODEL_NAME=Llama-3.2-1B-custom \
    -e NIM_MODEL_PROFILE=tensorrt_llm-h100-bf16-tp2-pp1-latency \
    -v /tmp/nim/.cache:/opt/nim/.cache \
    -v /home/ops/models:/opt/weights/hf \
    nvcr.io/nim/meta/llama-3.2-1b-instruct:1
