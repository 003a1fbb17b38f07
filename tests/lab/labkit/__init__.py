"""What the lab is made of besides its hosts: images, models, the deployer under test, waiting."""
