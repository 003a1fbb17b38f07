# vLLM, "Using Docker", with models from ModelScope, in two folders of a Windows disk
docker run --runtime nvidia --gpus all \
    --detach \
    --env TZ=Asia/Shanghai \
    --name vllm \
    --restart always \
    --env VLLM_USE_MODELSCOPE=True \
    --volume //d/workspace/vllm/.cache/:/root/.cache/ \
    --volume //d/workspace/models/:/models/ \
    --publish 8000:8000 \
    --ipc=host \
    vllm/vllm-openai:v0.7.2 \
    --model /models/DeepSeek-R1-Distill-Qwen-32B \
    --served-model-name deepseek-r1:1.5b \
    --max-model-len 15520 \
    --gpu-memory-utilization 0.9
