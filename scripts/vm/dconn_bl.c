// SPDX-License-Identifier: GPL-2.0
/*
 * dconn_bl: a backlight as a graphics driver registers it, with a variable in
 * place of the panel. The rest is the kernel's own backlight class.
 *
 * In /sys/module/dconn_bl/parameters:
 *   hw      what the panel shows, not by way of the backlight class
 *   fail    an errno that setting fails with, 0 for none
 *   hotkey  writing sets the panel as a key does that the firmware handles:
 *           the driver hears of it afterwards and tells the kernel
 */
#include <linux/backlight.h>
#include <linux/module.h>
#include <linux/platform_device.h>

static char *name = "intel_backlight";
module_param(name, charp, 0444);
static int max = 96000;
module_param(max, int, 0444);
static int hw;
module_param(hw, int, 0444);
static int fail;
module_param(fail, int, 0644);

static struct platform_device *pdev;
static struct backlight_device *bd; /* under the lock of the parameters */

static int update_status(struct backlight_device *b)
{
	if (fail)
		return -fail;
	hw = backlight_get_brightness(b); /* 0 if blanked */
	return 0;
}

static int get_brightness(struct backlight_device *b)
{
	return hw;
}

static const struct backlight_ops ops = {
	.update_status = update_status,
	.get_brightness = get_brightness,
};

static int set_hotkey(const char *text, const struct kernel_param *kp)
{
	int raw, err = kstrtoint(text, 0, &raw);

	if (err)
		return err;
	if (raw < 0 || raw > max)
		return -EINVAL;
	if (!bd)
		return -ENODEV;
	hw = raw;
	backlight_force_update(bd, BACKLIGHT_UPDATE_HOTKEY);
	return 0;
}

static const struct kernel_param_ops hotkey_ops = { .set = set_hotkey };
module_param_cb(hotkey, &hotkey_ops, NULL, 0200);

static int __init dconn_bl_init(void)
{
	struct backlight_properties props = {
		.type = BACKLIGHT_RAW, .max_brightness = max, .brightness = max / 2,
	};
	struct backlight_device *b;

	pdev = platform_device_register_simple("dconn-bl", -1, NULL, 0);
	if (IS_ERR(pdev))
		return PTR_ERR(pdev);
	hw = max / 2;
	b = devm_backlight_device_register(&pdev->dev, name, &pdev->dev, NULL, &ops, &props);
	if (IS_ERR(b)) {
		platform_device_unregister(pdev);
		return PTR_ERR(b);
	}
	kernel_param_lock(THIS_MODULE);
	bd = b;
	kernel_param_unlock(THIS_MODULE);
	return 0;
}

static void __exit dconn_bl_exit(void)
{
	kernel_param_lock(THIS_MODULE);
	bd = NULL; /* the parameters outlive the device by a moment */
	kernel_param_unlock(THIS_MODULE);
	platform_device_unregister(pdev);
}

module_init(dconn_bl_init);
module_exit(dconn_bl_exit);
MODULE_DESCRIPTION("a backlight without a panel, for tests");
MODULE_LICENSE("GPL");
