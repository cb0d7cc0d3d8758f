from shop.api import task


@task
def unseen() -> None:
    """Declared where no worker looks."""
