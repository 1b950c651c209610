"""The live objects of a rank, on megatron-core: model, optimizer, process groups, and the step that moves them."""
