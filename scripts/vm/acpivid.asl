// A panel that the firmware offers: the kernel's own ACPI video driver makes
// /sys/class/backlight/acpi_video0 of it (type firmware, 0 to 10).
DefinitionBlock ("", "SSDT", 2, "DCONN", "BACKLITE", 1)
{
    External (\_SB.PCI0, DeviceObj)
    Scope (\_SB.PCI0)
    {
        Device (GFX0)
        {
            Name (_ADR, 0x001E0000)             // PCI slot 1e.0: the VGA card on QEMU's command line
            Name (BRT, 60)                      // the "hardware"
            Method (_DOS, 1, NotSerialized) { } // without _DOS and _DOD it is no video device to Linux
            Method (_DOD, 0, NotSerialized) { Return (Package (1) { 0x80010400 }) }
            Device (LCD0)
            {
                Name (_ADR, 0x0400)
                Method (_DCS, 0) { Return (0x1F) }
                Method (_DGS, 0) { Return (One) }
                Method (_DSS, 1) { }
                // the levels on mains and on battery, then all levels
                Method (_BCL, 0) { Return (Package () { 100, 50, 0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100 }) }
                Method (_BCM, 1) { Store (Arg0, BRT) }
                Method (_BQC, 0) { Return (BRT) }
            }
        }
    }
}
