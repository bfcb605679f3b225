"""Long queries beside named peers: data in the shape of TSBS's devops case, made here, the same for all servers."""
